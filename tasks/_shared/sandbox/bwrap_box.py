"""One sandbox made with bubblewrap."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import select
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tasks._shared.sandbox import cgroups, linux
from tasks._shared.sandbox.bounded_reader import BoundedReader, drain
from tasks._shared.sandbox.bwrap_command import bwrap_argv, marker_path
from tasks._shared.sandbox.fork_client import ForkClient
from tasks._shared.sandbox.prepared_cgroup import PreparedCgroup
from tasks._shared.sandbox.reply import BwrapTerminal, Reply, read_line, wait_for_exit
from tasks._shared.sandbox.spec import (
    ENVIRONMENT,
    MARKER,
    BoxSpec,
    Command,
    Programs,
    Refused,
    Result,
    SandboxFault,
    unusable_arguments,
)


class Backend(Protocol):
    """What a sandbox uses of the backend that made it."""

    fork_client: ForkClient
    mount_folder: Path
    filter: str
    meminfo: str

    def forget(self, box: BwrapBox) -> None:
        """Drop a destroyed sandbox."""
        ...


# The first process inside is a bash that reads its standard input until the harness closes it or dies. It
# runs this with builtins only: ignore what `kill 1` may send, then print what shows that it is inside and
# confined.
HANDSHAKE = (
    "trap '' HUP INT QUIT TERM USR1 USR2 PIPE ALRM TSTP; "
    "while read -r k v; do case $k in CapBnd:) b=$v;; CapEff:) e=$v;; Seccomp:) s=$v;; esac; "
    "done < /proc/self/status; read -r m < {marker}; w=ro; [ -w /proc/sys/kernel/core_pattern ] && w=rw; "
    'echo "READY $$ $HOSTNAME $m $w $b $e $s"; exec >/dev/null 2>&1\n'
)


class BwrapBox:
    """One sandbox of the `bwrap` backend.

    Attributes:
        init_pid: the first process inside, as the host sees it; 0 before it runs.
    """

    def __init__(
        self, backend: Backend, spec: BoxSpec, group: cgroups.Group, prepared: PreparedCgroup
    ) -> None:
        self.spec = spec
        self._backend = backend
        self._group = group
        self._prepared = prepared
        self._marker = ""
        self._stdin = -1  # write end of the first process's standard input: closing it ends the sandbox
        self._init_pidfd = -1
        self.init_pid = 0
        self._bwrap_pid = 0  # bwrap's own process, outside, which holds the mounts
        self._root_id: list[int] = []
        self._ending: asyncio.Task[None] | None = None
        self._terminals: set[BwrapTerminal] = set()

    @property
    def alive(self) -> bool:
        """Whether its first process runs; from inside only a lack of memory can end it."""
        if self._init_pidfd < 0 or select.select([self._init_pidfd], [], [], 0)[0]:
            return False
        return not linux.is_ending(self.init_pid)  # it ends the others inside before it is gone itself

    @property
    def killed_from_outside(self) -> bool:
        """Whether it is gone although no process inside was killed for lack of memory."""
        return not self.alive and not self._group.ran_out_of_memory()

    async def start(self) -> None:
        """Make the sandbox, and check what its first process reports from inside."""
        image = self.spec.image
        if isinstance(image, str):
            raise SandboxFault(f"bwrap cannot run the container image {image!r}")
        self._marker = secrets.token_hex(16) if isinstance(image, Programs) else marker_of(image)
        stdin_read, self._stdin = os.pipe2(os.O_CLOEXEC)
        hello_read, hello_write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(hello_read, False)
        try:
            try:
                reply = await self._prepared.take(self._create_request(image), [stdin_read, hello_write])
            finally:
                os.close(stdin_read)
                os.close(hello_write)
            self._bwrap_pid = reply.sender
            os.write(self._stdin, HANDSHAKE.format(marker=marker_path(image)).encode())
            hello = await read_line(hello_read)
            self.init_pid = _read_init_pid(await reply.text(b"}"), hello)
            self._init_pidfd = os.pidfd_open(self.init_pid)
            self._verify(hello.decode("utf-8", "replace"))
        finally:
            os.close(hello_read)

    def _create_request(self, image: Path | Programs) -> dict[str, Any]:
        host = self.spec.hostname
        marker = {"marker": f"{self._marker}\n".encode().hex()} if isinstance(image, Programs) else {}
        memory = {"filter": self._backend.filter, "meminfo": self._backend.meminfo, **marker}
        return {
            "limits": [[str(file), value] for file, value in self._group.limits],
            "root": "" if isinstance(image, Programs) else str(image),
            "mount_folder": str(self._backend.mount_folder),
            "disk_mb": self.spec.caps.disk_mb,
            "ids": self._prepared.ids.first,
            "programs": [str(folder) for folder in image.bound] if isinstance(image, Programs) else [],
            "files": {
                "etc/hostname": f"{host}\n",
                "etc/hosts": f"127.0.0.1\tlocalhost\n127.0.0.1\t{host}\n",
            },
            "memory": memory,
            "argv": bwrap_argv(self.spec, image, str(self._backend.mount_folder)),
        }

    def _verify(self, hello: str) -> None:
        """Refuse a sandbox whose first process does not show that it is inside and confined."""
        words = hello.split()
        wanted = ["READY", "1", self.spec.hostname, self._marker, "ro"]
        if words[:5] != wanted or len(words) != 8:
            raise SandboxFault(f"no proof from inside the sandbox, got {hello[:500]!r}")
        bounding, effective, filtered = int(words[5], 16), int(words[6], 16), words[7]
        if (bounding | effective) & ~linux.CAP_MASK or filtered != "2":
            raise SandboxFault(f"the sandbox is not confined: {' '.join(words[5:])}")
        root, host = Path(f"/proc/{self.init_pid}/root").stat(), Path("/").stat()
        if (root.st_dev, root.st_ino) == (host.st_dev, host.st_ino):
            raise SandboxFault("the sandbox shows the host's root")
        if Path(f"/proc/{self.init_pid}/ns/user").stat().st_ino == Path("/proc/self/ns/user").stat().st_ino:
            raise SandboxFault("the sandbox has the host's user ids")
        if self.init_pid not in self._group.members():
            raise SandboxFault("the sandbox is outside its control group")
        self._root_id = [root.st_dev, root.st_ino]

    def _enter_request(self, argv: Sequence[str], env: Mapping[str, str], **more: Any) -> dict[str, Any]:
        return {
            "op": "enter",
            "pid": self.init_pid,
            "folders": [str(folder) for folder in self._group.folders],
            "hostname": self.spec.hostname,
            "root_id": self._root_id,
            "cwd": self.spec.cwd,
            "argv": list(argv),
            "env": {**ENVIRONMENT, "HOSTNAME": self.spec.hostname, **env},
            "seccomp": self._backend.filter,
            **more,
        }

    async def run(self, command: Command) -> Result:
        """Run a command to its end; see `Box.run`."""
        if refused := unusable_arguments(command.argv):
            return refused
        self._require_alive()
        stdin = os.memfd_create("stdin") if command.stdin else os.open(os.devnull, os.O_RDONLY)
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(1 if command.merge_stderr else 2)]
        readers = [BoundedReader(pipe[0], self.spec.caps.output) for pipe in pipes]
        writers = [pipe[1] for pipe in pipes]
        reply: Reply | None = None
        try:
            try:
                if command.stdin:
                    with os.fdopen(os.dup(stdin), "wb") as file:
                        file.write(command.stdin)
                    os.lseek(stdin, 0, os.SEEK_SET)
                limits = {str(number): value for number, value in command.limits.items()}
                request = self._enter_request(
                    command.argv, command.env, tty=False, user=command.user, rlimits=limits
                )
                streams = [stdin, writers[0], writers[-1]]
                reply = await self._backend.fork_client.ask(request, [self._init_pidfd, *streams])
            finally:
                for fd in (stdin, *writers):
                    os.close(fd)
            try:
                await reply.first()
            except Refused as error:
                return Result(127, b"", str(error).encode("utf-8", "replace"))
            code, timed_out = await wait_for_exit(reply, command.timeout)
            lingering = not await drain(readers)
        finally:
            if reply is not None:
                reply.close()
            for reader in readers:
                reader.close()
        stdout, stderr = bytes(readers[0].data), bytes(readers[1].data) if len(readers) > 1 else b""
        truncated = any(reader.truncated for reader in readers)
        return Result(code, stdout, stderr, timed_out, truncated, lingering)

    async def terminal(self, argv: Sequence[str], env: Mapping[str, str]) -> BwrapTerminal:
        """Start a process on a new terminal; see `Box.terminal`."""
        self._require_alive()
        request = self._enter_request(argv, {"TERM": "xterm", **env}, tty=True, user=0, rlimits={})
        reply = await self._backend.fork_client.ask(request, [self._init_pidfd])
        try:
            if await reply.first():
                raise Refused("the process ended before it had a terminal")
            pid = (await reply.first())["pid"]
        except BaseException:
            for fd in reply.fds:
                os.close(fd)
            reply.close()
            raise
        os.set_blocking(reply.fds[0], False)
        terminal = BwrapTerminal(reply.fds[0], pid, reply)
        self._terminals.add(terminal)
        return terminal

    def _require_alive(self) -> None:
        if self._ending is not None or not self.alive:
            raise SandboxFault("the sandbox is gone")

    @property
    def written(self) -> Path | None:
        """The overlay's upper folder, through the mounts of bwrap's process."""
        if isinstance(self.spec.image, Programs) or not self._bwrap_pid:
            return None
        return Path(f"/proc/{self._bwrap_pid}/root{self._backend.mount_folder}/upper")

    async def freeze(self) -> bool:
        """Stop every process inside; see `Box.freeze`."""
        self._require_alive()
        return await self._group.stop(self._bwrap_pid)

    async def destroy(self) -> None:
        """Kill everything inside and remove the groups; mounts end with their namespace.

        Runs to its end even when the caller is cancelled.
        """
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._destroy())
        await asyncio.shield(self._ending)

    async def _destroy(self) -> None:
        for terminal in self._terminals:
            await terminal.close()
        if self._stdin >= 0:
            os.close(self._stdin)
        await self._prepared.release()
        if self._init_pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init_pidfd, signal.SIGKILL)
            os.close(self._init_pidfd)
            self._init_pidfd = -1
        removed = await self._group.remove()
        self._backend.forget(self)
        if not removed:
            raise SandboxFault(f"processes could not be killed in {self._group.folders[0]}")
        self._prepared.ids.close()


def marker_of(root: Path) -> str:
    """The name that a root file system holds in a file.

    Raises:
        SandboxFault: it has none, so the harness did not build it.
    """
    try:
        return (root / MARKER).read_text().strip()
    except OSError as error:
        raise SandboxFault(f"{root} is no root file system of the harness: {error}") from error


def _read_init_pid(info: bytes, hello: bytes) -> int:
    try:
        return int(json.loads(info)["child-pid"])
    except (ValueError, KeyError) as error:
        said = (info + hello).decode("utf-8", "replace").strip()
        raise SandboxFault(f"bwrap could not make the sandbox: {said[:500]}") from error
