"""Starts a MariaDB server with a socket and a folder of its own; at the end both are removed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EnvironmentFault, MissingPart
from harness.worker.child import die_with_parent
from tasks._shared.sandbox import linux
from tasks.dbbench import bounds
from tasks.dbbench.account import add_data, base, identity, server_account

log = logging.getLogger(__name__)

STARTS = 3
"""Starts that are tried before a server counts as one that cannot start."""

START_S = 60.0
"""Deadline for a busy machine; an idle one takes under a second each for the tables and the start."""

PACKAGE = "mariadb-server-core"
PREFIX = "dbbench-"
_SCRIPTS = ("/usr/share/mysql", "/usr/share/mariadb", "/usr/local/share/mysql", "/usr/local/share/mariadb")

SQL_MODE = "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO"
SMALL = (
    *("--innodb-log-file-size=8M", "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0"),
    *("--innodb-doublewrite=0", "--innodb-use-native-aio=0", "--aria-log-file-size=8M", "--skip-log-bin"),
    *("--aria-pagecache-buffer-size=8M", "--key-buffer-size=1M", "--sync-frm=0", "--performance-schema=OFF"),
)
LIKE_MYSQL = (
    f"--sql-mode={SQL_MODE}",
    "--version=8.0.36",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_uca1400_nopad_ai_ci",
    "--group-concat-max-len=1024",
    "--explicit-defaults-for-timestamp=1",
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens and how its administrator logs in."""

    user: str
    password: str
    socket: str = ""
    host: str = "localhost"
    port: int = 3306


class Embedded:
    """One mariadbd process: starts it, tells whether it runs, kills it."""

    def __init__(self) -> None:
        self.address = Address("root", secrets.token_hex(16))
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._group: bounds.MemoryGroup | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id while it lives."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process and alive else None

    async def killed_from_outside(self) -> bool:
        """Whether it was killed, and not for the memory it used: no statement can do that."""
        process = self._process
        if process is None:
            return False
        if process.returncode is None and linux.is_ending(process.pid):  # else it hangs
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), START_S)
        starved = self._group is not None and self._group.ran_out_of_memory()
        return process.returncode == -signal.SIGKILL and not starved

    @property
    def data(self) -> Path | None:
        """The server's data folder; each database is a folder in it."""
        return self._folder / "data" if self._folder else None

    async def start(self) -> Address:
        """Make a data folder and start a server in it; what goes wrong once is tried again.

        Raises:
            MissingPart: the server is not installed.
            EnvironmentFault: it did not come up.
        """
        for _ in range(STARTS - 1):
            try:
                return await self._start()
            except EnvironmentFault as fault:
                log.warning("%s; trying again", fault)
        return await self._start()

    async def _start(self) -> Address:
        await self.stop()
        binary, scripts = find_server()
        sweep()
        await bounds.sweep()
        account = server_account()
        folder = self._folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base(account)))
        add_data(folder, account)
        common = (str(binary), "--no-defaults", f"--datadir={folder / 'data'}", f"--tmpdir={folder}", *SMALL)
        try:
            async with asyncio.timeout(START_S):
                await self._install(common, scripts, account)
                await self._serve(common, folder, account)
        except BaseException as error:
            shown = _tail(folder / "log")
            await self.stop()
            if isinstance(error, TimeoutError | OSError):
                raise EnvironmentFault(f"mariadbd did not start: {error!r} {shown}") from error
            raise
        return self.address

    async def _install(
        self, common: tuple[str, ...], scripts: Path, account: pwd.struct_passwd | None
    ) -> None:
        """Create the system tables; the server's own script does it too, but takes three times as long."""
        system = (scripts / "mysql_system_tables.sql").read_bytes()
        password = self.address.password
        own = (
            "FLUSH PRIVILEGES;\n"
            f"CREATE USER root@localhost IDENTIFIED BY '{password}';\n"
            "GRANT ALL ON *.* TO root@localhost WITH GRANT OPTION;\n"
        )
        process = self._process = await self._spawn((*common, "--bootstrap"), account, stdin=True)
        assert process.stdin is not None
        process.stdin.write(b"CREATE DATABASE mysql;\nUSE mysql;\n" + system + own.encode())
        process.stdin.close()
        if code := await process.wait():
            raise OSError(f"creating the system tables failed with {code}")

    async def _serve(self, common: tuple[str, ...], folder: Path, account: pwd.struct_passwd | None) -> None:
        socket = folder / "s"
        options = (f"--socket={socket}", f"--pid-file={folder / 'p'}", *LIKE_MYSQL, *bounds.CONTAINED)
        process = self._process = await self._spawn((*common, *options), account)
        self._group = bounds.MemoryGroup()
        await asyncio.to_thread(self._group.enter, process.pid)
        while not await _listens(socket):
            if process.returncode is not None:
                raise OSError(f"it ended with {process.returncode}")
            await asyncio.sleep(0.02)
        self.address = Address("root", self.address.password, socket=str(socket))

    async def _spawn(
        self, command: tuple[str, ...], account: pwd.struct_passwd | None, *, stdin: bool = False
    ) -> asyncio.subprocess.Process:
        folder = self._folder
        assert folder is not None
        with (folder / "log").open("ab") as sink:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder)},
                start_new_session=True,
                preexec_fn=_before_it_runs,
                # The account first: a process that changes it later loses its death signal.
                **identity(account),
            )

    async def stop(self) -> None:
        """Kill the server and remove its folder. Idempotent."""
        process, self._process = self._process, None
        folder, self._folder = self._folder, None
        group, self._group = self._group, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        if group is not None:
            await group.remove()
        if folder is not None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _listens(socket: Path) -> bool:
    """Whether a server takes connections; its socket is there a moment before it does."""
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    writer.close()
    return True


def _before_it_runs() -> None:
    die_with_parent()
    bounds.bound_files()


def find_server() -> tuple[Path, Path]:
    """Find mariadbd and the folder with the SQL of its system tables.

    Raises:
        MissingPart: one of them is not there.
    """
    found = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    scripts = [Path(name) for name in _SCRIPTS if (Path(name) / "mysql_system_tables.sql").is_file()]
    if not found or not scripts:
        raise MissingPart(f"mariadbd is missing: apt-get install -y --no-install-recommends {PACKAGE}")
    return Path(found), scripts[0]


def missing() -> str | None:
    """None when a server can be started, else what is wrong."""
    try:
        find_server()
    except MissingPart:
        return "not installed"
    return None


def unusable() -> str | None:
    """None when the server's program starts in a folder like a run's, else what is wrong; it is tried."""
    try:
        binary, _ = find_server()
    except MissingPart:
        return None  # `missing` says so
    account = server_account()
    place = base(account)
    try:
        with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=place) as made:
            add_data(Path(made), account)
            done = subprocess.run(
                ["/bin/sh", "-c", _TRIAL, "sh", f"{made}/data", str(binary)],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=START_S, **identity(account),
            )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return f"does not start in {place}: {error}"
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    user = account.pw_name if account else "you"
    return (
        f"does not start in {place} as {user}: {said[-1][:200] if said else ''}" if done.returncode else None
    )


_TRIAL = 'cd "$1" && : > trial && exec "$2" --no-defaults --version'
"""A script for the shell, with a data folder and the server's program behind it."""


def version() -> str:
    """What mariadbd says of itself."""
    binary, _ = find_server()
    done = subprocess.run([binary, "--no-defaults", "--version"], capture_output=True, text=True, timeout=60)
    found = re.search(r"Ver (\S+)", done.stdout)
    return found.group(1) if found else "unknown"


def sweep() -> None:
    """Remove folders whose harness was killed; its server ended with it."""
    for folder in {Path(tempfile.gettempdir()), Path("/tmp")}:
        for path in folder.glob(f"{PREFIX}*-*"):
            owner = path.name.removeprefix(PREFIX).partition("-")[0]
            if owner.isdecimal() and not _exists(int(owner)):
                log.info("removing %s, left by a run that was killed", path)
                shutil.rmtree(path, ignore_errors=True)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # someone else's
    return True


def _tail(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[-500:]
    except OSError:
        return ""
