"""Sandboxes made with the docker or podman command; with the daemon, socket and settings of the user."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Mapping, Sequence
from itertools import takewhile

from tasks._shared.sandbox import cgroups, linux
from tasks._shared.sandbox.bounded_reader import BoundedReader, drain
from tasks._shared.sandbox.bwrap_user import RLIMIT_NAMES
from tasks._shared.sandbox.reaping import wait_killed
from tasks._shared.sandbox.resource_limits import sandbox_limits
from tasks._shared.sandbox.spec import BoxSpec, Command, Result, SandboxFault, unusable_arguments

CALL_S = 60.0
_LABEL = "agenttuning-harness"
_GONE = (b"is not running", b"No such container", b"state improper")
"""What docker and podman say of a command for a container that has ended or was removed."""
_STATE = "{{.State.Running}} {{.State.OOMKilled}} {{.State.ExitCode}}"
_KILLED = 128 + signal.SIGKILL
_HELP = ("Usage:", "Run '", "See '")
"""How the lines begin that docker writes below an error."""


class Containers:
    """The `docker` and `podman` backends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = ""
        self._boxes: set[ContainerBox] = set()

    async def start(self) -> None:
        """Ask for the daemon's version, and remove the containers of dead processes.

        Raises:
            SandboxFault: the command or its daemon does not answer.
        """
        field = "{{.Server.Version}}" if self.name == "docker" else "{{.Client.Version}}"
        self.version = await self.call("version", "--format", field)
        template = '{{.ID}} {{.Label "' + _LABEL + '"}}'
        listed = await self.call("ps", "-a", "--filter", f"label={_LABEL}", "--format", template)
        for line in listed.splitlines():
            container, _, owner = line.partition(" ")
            if cgroups.abandoned(owner):
                await self.call("rm", "-f", container)

    async def call(self, *arguments: str) -> str:
        """Run one command of the client to its end; its standard output without the last newline."""
        try:
            process = await asyncio.create_subprocess_exec(
                *(self.name, *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError as error:
            raise SandboxFault(f"{self.name} is not on PATH") from error
        try:
            stdout, stderr = await asyncio.wait_for(process.communicate(), CALL_S)
        except TimeoutError as error:
            raise SandboxFault(f"{self.name} {arguments[0]} does not answer") from error
        finally:
            await _end(process)
        if process.returncode:
            said = filter(str.strip, stderr.decode("utf-8", "replace").splitlines())
            reason = list(takewhile(lambda line: not line.startswith(_HELP), said))
            raise SandboxFault(f"{self.name} {arguments[0]}: {reason[-1][:400] if reason else 'failed'}")
        return stdout.decode("utf-8", "replace").strip()

    async def create(self, spec: BoxSpec) -> ContainerBox:
        """Start a container whose first process is a shell that waits."""
        if not isinstance(spec.image, str):
            raise SandboxFault(f"{self.name} runs images, not folders")
        caps = spec.caps
        arguments = ["run", "-d", "-i", "--pull", "never", "--network", "none", "--hostname", spec.hostname]
        arguments += ["--label", f"{_LABEL}={cgroups.owner_prefix()}box", "--workdir", spec.cwd]
        arguments += ["--memory", f"{caps.memory_mb}m", "--memory-swap", f"{caps.memory_mb}m"]
        arguments += ["--pids-limit", str(caps.pids), "--cpus", str(caps.cpus), "--cap-drop", "ALL"]
        arguments += [part for cap in linux.CAPS for part in ("--cap-add", cap.upper())]
        # Not every storage driver can limit a container's layer; the size of a single file can be limited
        # everywhere.
        arguments += ["--ulimit", f"fsize={caps.disk_mb << 20}", "--ulimit", "core=0", "--shm-size", "16m"]
        # Counted for the daemon's user, so for the host's root unless the daemon maps users.
        for kind, (soft, hard) in sandbox_limits().items():
            arguments += ["--ulimit", f"{RLIMIT_NAMES[kind]}={soft}:{hard}"]
        container = await self.call(*arguments, "--entrypoint", "bash", spec.image)
        box = ContainerBox(self, spec, container.splitlines()[-1])
        self._boxes.add(box)
        return box

    async def close(self) -> None:
        """Remove every container."""
        for box in list(self._boxes):
            await box.destroy()

    def forget(self, box: ContainerBox) -> None:
        """Drop a removed container."""
        self._boxes.discard(box)


class ContainerBox:
    """One container."""

    def __init__(self, backend: Containers, spec: BoxSpec, container: str) -> None:
        self.spec = spec
        self.container = container
        self._backend = backend
        self._gone = False
        self._stopped = False
        self._killed = False
        self._terminals: list[ContainerTerminal] = []

    @property
    def alive(self) -> bool:
        """Whether the container ran when it was last asked."""
        return not (self._gone or self._stopped)

    @property
    def killed_from_outside(self) -> bool:
        """Whether someone else removed or killed it, as the daemon said when it was found to be gone."""
        return self._killed

    async def run(self, command: Command) -> Result:
        """Run a command to its end; see `Box.run`."""
        if refused := unusable_arguments(command.argv):
            return refused
        limits = [f"--{RLIMIT_NAMES[number]}={value}" for number, value in command.limits.items()]
        wrapper = ["prlimit", *limits, "--"] if limits else []
        arguments = self._exec("-i", command.env, command.user)
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
        readers = [BoundedReader(pipe[0], self.spec.caps.output) for pipe in pipes]
        stdin = os.memfd_create("stdin")
        try:
            with os.fdopen(os.dup(stdin), "wb") as file:
                file.write(command.stdin)
            os.lseek(stdin, 0, os.SEEK_SET)
            process = await asyncio.create_subprocess_exec(
                *(*arguments, *wrapper, *command.argv),
                stdin=stdin,
                stdout=pipes[0][1],
                stderr=pipes[1 - command.merge_stderr][1],
            )
        except BaseException as error:
            for reader in readers:
                reader.close()
            if isinstance(error, OSError):
                return Result(126, b"", str(error).encode(), truncated=True)
            raise
        finally:
            for fd in (stdin, pipes[0][1], pipes[1][1]):
                os.close(fd)
        timed_out = False
        try:
            await asyncio.wait_for(process.wait(), command.timeout)
        except TimeoutError:
            timed_out = True
        finally:
            await _end(process)
            lingering = not await drain(readers)
            for reader in readers:
                reader.close()
        stdout, stderr = (bytes(reader.data) for reader in readers)
        if process.returncode and not timed_out:
            await self._examine(process.returncode, stderr)
        code = 137 if timed_out else process.returncode or 0
        truncated = any(reader.truncated for reader in readers)
        return Result(code, stdout, stderr, timed_out, truncated, lingering)

    async def _examine(self, code: int, stderr: bytes) -> None:
        """Where a command ended as in a container that is gone, ask the daemon whether it is, and why.

        Raises:
            SandboxFault: the command could not be started, as the container was gone before.
        """
        refused = any(text in stderr for text in _GONE)
        if not (refused or code == _KILLED):
            return
        try:
            told = await self._backend.call("inspect", "--format", _STATE, self.container)
        except SandboxFault as error:
            told = f"false false {_KILLED}" if "no such" in str(error).lower() else "unknown"
        running, *ended = told.split() or ["unknown"]
        if running == "false":
            self._stopped = True
            # Only from outside its first process takes this signal; or from the kernel, for want of memory.
            self._killed = ended == ["false", str(_KILLED)]
        if refused:
            self._stopped = True
            raise SandboxFault("the container is gone")

    async def terminal(self, argv: Sequence[str], env: Mapping[str, str]) -> ContainerTerminal:
        """Start a process on a new terminal; see `Box.terminal`."""
        if not self.alive:
            raise SandboxFault("the container is gone")
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 4000, 0, 0))
        os.set_blocking(master, False)
        try:
            process = await asyncio.create_subprocess_exec(
                *(*self._exec("-it", {"TERM": "xterm", **env}, 0), *argv),
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
            )
        finally:
            os.close(slave)
        terminal = ContainerTerminal(master, process)
        self._terminals.append(terminal)
        return terminal

    def _exec(self, flags: str, env: Mapping[str, str], user: int) -> list[str]:
        settings = [part for name, value in env.items() for part in ("-e", f"{name}={value}")]
        return [
            *(self._backend.name, "exec", flags, "-u", f"{user}:{user}", "-w", self.spec.cwd),
            *settings,
            self.container,
        ]

    @property
    def written(self) -> None:
        """Unknown: only the daemon sees the container's layer."""
        return

    async def freeze(self) -> bool:
        """Not possible: a paused container runs no commands."""
        return False

    async def destroy(self) -> None:
        """Remove the container with everything in it."""
        if self._gone:
            return
        self._gone = True
        for terminal in self._terminals:
            await terminal.close()
        await self._backend.call("rm", "-f", self.container)
        self._backend.forget(self)


class ContainerTerminal:
    """A client process that connects a terminal of the harness to one inside."""

    pid = 0

    def __init__(self, fd: int, process: asyncio.subprocess.Process) -> None:
        self.fd = fd
        self._process = process

    async def close(self) -> None:
        """Hang up."""
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        await _end(self._process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill a client that still runs. Not by `process.kill`: that can reap the process before asyncio does."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        await wait_killed(process, "the client")
