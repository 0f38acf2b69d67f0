"""One-shot sandboxes in a user namespace: bubblewrap without root, for a single program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks._shared.sandbox import seccomp, user_ids
from tasks._shared.sandbox.bounded_reader import BoundedReader, drain
from tasks._shared.sandbox.reaping import wait_killed
from tasks._shared.sandbox.resource_limits import sandbox_limits
from tasks._shared.sandbox.spec import (
    ENVIRONMENT,
    BoxSpec,
    Command,
    Programs,
    Result,
    SandboxFault,
    Terminal,
    unusable_arguments,
)

_NOBODY = 65534
# The kernel counts these by user, and all sandboxes of an ordinary user share that user with the host.
_REFUSED = ("inotify_init", "inotify_init1")
RLIMIT_NAMES = {
    resource.RLIMIT_AS: "as",
    resource.RLIMIT_CPU: "cpu",
    resource.RLIMIT_FSIZE: "fsize",
    resource.RLIMIT_NPROC: "nproc",
    resource.RLIMIT_NOFILE: "nofile",
    resource.RLIMIT_SIGPENDING: "sigpending",
    resource.RLIMIT_MSGQUEUE: "msgqueue",
    resource.RLIMIT_MEMLOCK: "memlock",
}
"""What prlimit(1) calls the limits."""


class UserBwrap:
    """The `bwrap-user` backend: without control groups, caps are per process and per user."""

    name = "bwrap-user"

    def __init__(self, version: str) -> None:
        self.version = version

    async def create(self, spec: BoxSpec) -> UserBox:
        """Plan a sandbox; each command gets a fresh one."""
        if not isinstance(spec.image, Programs):
            raise SandboxFault("bwrap-user runs single programs only")
        return UserBox(spec, spec.image)

    async def close(self) -> None:
        """Nothing is left of a command."""


class UserBox:
    """A sandbox made anew for every command."""

    def __init__(self, spec: BoxSpec, image: Programs) -> None:
        self.spec = spec
        self._image = image
        self._ids = user_ids.claim_range() if os.geteuid() == 0 else None

    @property
    def alive(self) -> bool:
        """Always true: nothing runs between commands."""
        return True

    @property
    def killed_from_outside(self) -> bool:
        """Always false: a command whose sandbox is killed raises."""
        return False

    async def run(self, command: Command) -> Result:
        """Run a command to its end in a sandbox of its own; see `Box.run`."""
        if refused := unusable_arguments(command.argv):
            return refused
        stdin = os.memfd_create("stdin")
        rules = os.memfd_create("seccomp")
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
        readers = [BoundedReader(pipe[0], self.spec.caps.output) for pipe in pipes]
        try:
            for fd, data in ((stdin, command.stdin), (rules, seccomp.program(without=_REFUSED))):
                with os.fdopen(os.dup(fd), "wb") as file:
                    file.write(data)
                os.lseek(fd, 0, os.SEEK_SET)
            os.set_inheritable(rules, True)
            process = await asyncio.create_subprocess_exec(
                *self._argv(command, rules),
                stdin=stdin,
                stdout=pipes[0][1],
                stderr=pipes[1 - command.merge_stderr][1],
                pass_fds=[rules],
                env={},
                start_new_session=True,
            )
        finally:
            for fd in (stdin, rules, pipes[0][1], pipes[1][1]):
                os.close(fd)
        try:
            timed_out = await _timed_out(process, command.timeout)
            lingering = not await drain(readers)
        finally:
            for reader in readers:
                reader.close()
            await kill_group(process)
        code = process.returncode or 0
        if code < 0 and not timed_out:  # a signal to bwrap itself, which what runs inside cannot send
            raise SandboxFault(f"bwrap was ended by signal {-code}")
        truncated = any(reader.truncated for reader in readers)
        stdout, stderr = (bytes(reader.data) for reader in readers)
        return Result(128 - code if code < 0 else code, stdout, stderr, timed_out, truncated, lingering)

    def _argv(self, command: Command, rules: int) -> list[str]:
        argv: list[str] = []
        if self._ids is not None:  # limits on processes do not apply to the host's root
            user = str(self._ids.first or _NOBODY)
            argv += [_find("setpriv"), "--reuid", user, "--regid", user, "--clear-groups"]
        argv += [_find("bwrap"), "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
        argv += ["--uid", str(_NOBODY), "--gid", str(_NOBODY), "--hostname", self.spec.hostname]
        argv += self._image.arguments([str(folder) for folder in self._image.bound])
        argv += ["--size", str(self.spec.caps.disk_mb << 20), "--tmpfs", "/tmp"]
        # No terminals: bwrap's are unlimited, and the whole machine shares 3,072.
        argv += ["--dev", "/dev", "--size", "4096", "--tmpfs", "/dev/pts", "--remount-ro", "/dev/pts"]
        argv += ["--size", str(16 << 20), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
        argv += ["--proc", "/proc", "--remount-ro", "/"]
        argv += ["--cap-drop", "ALL", "--seccomp", str(rules), "--clearenv", "--chdir", self.spec.cwd]
        for name, value in {**ENVIRONMENT, **command.env}.items():
            argv += ["--setenv", name, value]
        held = {number: f"{soft}:{hard}" for number, (soft, hard) in sandbox_limits().items()}
        limits = [f"--{RLIMIT_NAMES[number]}={value}" for number, value in {**held, **command.limits}.items()]
        return [*argv, "prlimit", "--core=0", *limits, "--", *command.argv]

    async def terminal(self, argv: Sequence[str], env: Mapping[str, str]) -> Terminal:
        """Refuse: a one-shot sandbox has no place for a shell."""
        raise SandboxFault("bwrap-user has no terminal")

    @property
    def written(self) -> None:
        """Nothing is left of a command."""
        return

    async def freeze(self) -> bool:
        """There is nothing to stop between commands."""
        return True

    async def destroy(self) -> None:
        """Release the user ids; nothing else is held."""
        if self._ids is not None:
            self._ids.close()


def _find(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SandboxFault(f"{name} is not on PATH")
    return str(Path(found))


async def _timed_out(process: asyncio.subprocess.Process, timeout: float) -> bool:
    try:
        await asyncio.wait_for(process.wait(), timeout)
    except TimeoutError:
        return True
    return False


async def kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill bwrap; everything inside dies with it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await wait_killed(process, "bwrap")
