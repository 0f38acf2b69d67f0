"""What a task needs in addition to its data: each thing with its check and its fix."""

from __future__ import annotations

import importlib.util
import mmap
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence

from harness.errors import HarnessError
from harness.types import Need as Need
from harness.types import TaskConfig


def package(module: str, *, extra: str) -> Need:
    """Need a Python package that an extra of this distribution installs."""

    def missing() -> str | None:
        found = importlib.util.find_spec(module) is not None
        return None if found else "not installed"

    return Need(f"python package {module}", missing, f"pip install 'agenttuning-harness[{extra}]'")


def program(*names: str, apt: str, runs: Sequence[str] = ()) -> Need:
    """Need one of several programs on PATH, found in the Debian package `apt`.

    Args:
        names: any of them will do.
        apt: the package.
        runs: arguments under which it does nothing and ends with 0: it is then started, not only looked for.
    """

    def missing() -> str | None:
        found = next(filter(None, map(shutil.which, names)), None)
        if found is None:
            return "not on PATH"
        return _fails([found, *runs]) if runs else None

    return Need(names[0], missing, f"apt-get install -y --no-install-recommends {apt}")


_START_S = 30.0


def _fails(command: Sequence[str]) -> str | None:
    """Why a program cannot be started; None when it ends with 0."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_START_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{command[0]} does not start ({error})"
    if done.returncode == 0:
        return None
    said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    return f"{command[0]} ends with {done.returncode}" + (f" ({said[0][:200]})" if said else "")


def executable_scratch() -> Need:
    """Need a temporary folder whose files may hold programs; libraries that are copied there are loaded."""

    def missing() -> str | None:
        try:
            with tempfile.TemporaryFile() as file:
                file.write(b"\0")
                file.flush()
                mmap.mmap(file.fileno(), 1, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
        except OSError as error:
            return f"{tempfile.gettempdir()} takes no programs ({error.strerror})"
        return None

    return Need("scratch folder", missing, "export TMPDIR=FOLDER on a file system not mounted noexec")


def open_files(least: int) -> Need:
    """Need so many files that one process may have open, as the limit that it can raise its own to."""

    def missing() -> str | None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        enough = hard == resource.RLIM_INFINITY or hard >= least
        return None if enough else f"a process may open only {hard}, {least} are needed"

    fix = f"raise the hard limit (ulimit -n {least} as root, or --ulimit nofile={least} for a container)"
    return Need("open files", missing, fix)


def role(name: str, cfg: TaskConfig, *, why: str, otherwise: str = "") -> Need:
    """Need an auxiliary model; `otherwise` says how to do without it."""

    def missing() -> str | None:
        return None if name in cfg.roles else f"not bound ({why})"

    fix = f"--role {name}=NAME@URL"
    return Need(f"role {name}", missing, f"{fix}, or {otherwise}" if otherwise else fix)


def ranked_choices(otherwise: str) -> Need:
    """Need a model that ranks choices behind a text with which its turn begins, which a chat server does not.

    It is tried, not looked up; `otherwise` says how to do without.
    """
    return Need("ranked choices", lambda: None, otherwise, "rank")


def drawn_replies() -> Need:
    """Need a model that draws its replies at a temperature. It is tried, not looked up."""
    fix = "use a server that takes the temperature, or --decoding greedy, which is another measure"
    return Need("drawn replies", lambda: None, fix, "draw")


def variable(name: str, *, why: str, fix: str = "") -> Need:
    """Need an environment variable that is set and not empty."""

    def missing() -> str | None:
        return None if os.environ.get(name) else f"not set ({why})"

    return Need(name, missing, fix or f"export {name}=...")


def core_data(name: str, cfg: TaskConfig) -> Need:
    """Need a file that several tasks use, such as the cl100k vocabulary."""
    from harness import data

    fix = "harness data pull core, or give the mirror that holds it"
    return Need(name, lambda: _lack(lambda: data.core_path(name, cfg)), fix)


def notice(cfg: TaskConfig) -> Need:
    """Need the text that a window appends about the messages it left out."""
    from harness import data

    fix = "harness data prepare core --from AGENTTUNING"
    return Need(
        "the window's notice", lambda: _lack(lambda: data.notice(cfg.data, cfg.source, cfg.mirror)), fix
    )


def _lack(find: Callable[[], object]) -> str | None:
    """Why something cannot be found; None when it is."""
    try:
        find()
    except HarnessError as error:
        return str(error)
    return None
