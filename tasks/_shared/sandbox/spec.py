"""The types of sandboxes, commands and results, and the protocols that every backend implements."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.errors import EnvironmentFault

MARKER = "usr/lib/harness-root"
"""File in a root file system whose text names it; a process that cannot read it is not inside."""

ARGUMENT_BYTES = 120_000
"""Longest argument of a command; the kernel takes 128 KiB in one."""

_TOPS = ("bin", "sbin", "lib", "lib64")

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
}


class SandboxFault(EnvironmentFault):
    """The sandbox could not be made, or it broke in a way that the program inside cannot cause."""


class Refused(Exception):
    """The system inside can no longer start the command, because a program inside broke it."""


@dataclass(frozen=True, slots=True)
class Caps:
    """The limits of one sandbox.

    Attributes:
        memory_mb: memory with everything written to its file system, no swap.
        pids: processes and threads.
        cpus: CPU time per wall time.
        disk_mb: what may be written to its file system.
        output: bytes kept of one command's output; the rest is read and discarded.
    """

    memory_mb: int = 512
    pids: int = 256
    cpus: float = 1.0
    disk_mb: int = 256
    output: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Programs:
    """The host's own programs, read-only, as a sandbox's file system: for one Python program.

    Attributes:
        folders: folders bound read-only at the same place.
    """

    folders: tuple[Path, ...]

    @property
    def bound(self) -> tuple[Path, ...]:
        """All folders of the host that are shown: those given, and what stands beside /usr."""
        tops = (Path("/", name) for name in _TOPS)
        return (*self.folders, *(top for top in tops if top.is_dir() and not top.is_symlink()))

    def arguments(self, sources: Sequence[str]) -> list[str]:
        """How bubblewrap lays them out; nothing else of the host is there, not even `/etc`.

        Args:
            sources: where bubblewrap finds the folders of `bound`, in their order.
        """
        argv: list[str] = []
        for folder, source in zip(self.bound, sources, strict=True):
            for above in reversed(folder.parents[:-1]):
                argv += ["--perms", "0755", "--dir", str(above)]
            argv += ["--ro-bind", source, str(folder)]
        for link in (Path("/", name) for name in _TOPS):
            if link.is_symlink():
                argv += ["--symlink", str(link.readlink()), str(link)]
        return argv


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """One sandbox to make.

    Attributes:
        image: a root file system's folder, the host's programs, or an image's name (containers).
        hostname: twelve hex digits, as a container would have.
        cwd: working directory of everything that runs inside.
    """

    image: Path | Programs | str
    hostname: str
    cwd: str = "/"
    caps: Caps = Caps()


@dataclass(frozen=True, slots=True)
class Result:
    """What one independent command gave.

    Attributes:
        code: exit status; 128 + n for signal n; 137 when it ran out of time.
        lingering: its output stayed open after its end, because a process that it started holds it.
    """

    code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    truncated: bool = False
    lingering: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One command to run inside, independent of any shell.

    Attributes:
        user: numeric user and group; 0 is root with the sandbox's capabilities.
        limits: resource limits by `resource.RLIMIT_*` number.
    """

    argv: tuple[str, ...]
    stdin: bytes = b""
    timeout: float = 120.0
    env: Mapping[str, str] = field(default_factory=dict)
    merge_stderr: bool = False
    user: int = 0
    limits: Mapping[int, int] = field(default_factory=dict)


def unusable_arguments(argv: Sequence[str]) -> Result | None:
    """The result of a command that cannot be started because of its arguments; None when it can.

    An argument may be a model's answer. One that is too long for the kernel, or holds a null character or a
    lone surrogate, is the model's failure: it gives a result with a shell's status for it, 126, and no
    exception.
    """
    for part in argv:
        try:
            size = len(os.fsencode(part))
        except UnicodeEncodeError:
            return Result(126, b"", b"an argument is not valid Unicode", truncated=True)
        if size > ARGUMENT_BYTES:
            return Result(126, b"", b"argument list too long", truncated=True)
        if "\0" in part:
            return Result(126, b"", b"an argument has a null character", truncated=True)
    return None


class Terminal(Protocol):
    """A process on a terminal inside a sandbox.

    Attributes:
        fd: the terminal's master side, non-blocking.
        pid: the process as the host sees it, 0 when it does not.
    """

    fd: int
    pid: int

    async def close(self) -> None:
        """Kill the process and release the terminal. Idempotent."""
        ...


class Box(Protocol):
    """One live sandbox."""

    spec: BoxSpec

    @property
    def alive(self) -> bool:
        """Whether commands can still run in it."""
        ...

    @property
    def killed_from_outside(self) -> bool:
        """Whether it is gone, and nothing inside can have ended it; False where that cannot be told."""
        ...

    async def run(self, command: Command) -> Result:
        """Run a command to its end, without waiting for processes that it leaves running.

        Raises:
            SandboxFault: the sandbox is gone or the command could not be started inside it.
        """
        ...

    async def terminal(self, argv: Sequence[str], env: Mapping[str, str]) -> Terminal:
        """Start a process on a new terminal.

        Raises:
            Refused: the system inside cannot start it.
            SandboxFault: the sandbox is gone.
        """
        ...

    @property
    def written(self) -> Path | None:
        """The host's folder of all that was written over the image, None where the backend has none."""
        ...

    async def freeze(self) -> bool:
        """Stop every process that runs inside; commands can still be run afterwards.

        Returns:
            Whether all of them are stopped. False where the backend cannot.
        """
        ...

    async def destroy(self) -> None:
        """Kill and remove everything. Idempotent."""
        ...


class Backend(Protocol):
    """One way to make sandboxes.

    Attributes:
        name: `docker`, `podman`, `bwrap` or `bwrap-user`.
        version: of the program behind it, for the fingerprint.
    """

    name: str
    version: str

    async def create(self, spec: BoxSpec) -> Box:
        """Make a sandbox; returns only after the checks that it is one."""
        ...

    async def close(self) -> None:
        """Destroy what is left. Idempotent."""
        ...
