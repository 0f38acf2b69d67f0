"""Judges one program in a sandbox of its own, its tests in another process than its code."""

from __future__ import annotations

import json
import platform
import resource
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.episode import BaseWorld, Episode
from harness.types import Capacity, Chat, Sample
from tasks._shared.sandbox import Caps, Command, Sandbox, host_interpreter, host_python, open_sandbox
from tasks._shared.sandbox.spec import Programs, SandboxFault
from tasks.humaneval import tester
from tasks.humaneval.action import Program

CONTAINER_IMAGE = "python:3.11-slim"
_LIMITS = {
    resource.RLIMIT_AS: 2 << 30,
    resource.RLIMIT_CPU: 8,
    resource.RLIMIT_FSIZE: 1 << 20,
}
# The kernel counts this limit over all processes of the user, in other sandboxes and outside (a database
# server of `nobody`): past it a neighbour's program would not even start. So it stands only where no control
# group bounds the sandbox's own processes and the user is counted in a namespace of its own.
_OWN_PROCESSES = {resource.RLIMIT_NPROC: 32}
_CAPS = Caps(memory_mb=1024, pids=32, disk_mb=64, output=1 << 16)
_TESTER = Path(tester.__file__).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a program passed its tests, and if not, why in a word."""

    passed: bool
    reason: str = ""


class HumanEvalWorld(BaseWorld):
    """Holds the sandbox backend that all programs run in."""

    def __init__(
        self, sandbox: Sandbox, timeout_s: float, build: Callable[[Sample, HumanEvalWorld], Episode]
    ) -> None:
        self.capacity = Capacity(memory_mb=256, cpu=0.5)
        self._sandbox = sandbox
        self._timeout_s = timeout_s
        self._build = build
        host = sandbox.backend.name in ("bwrap", "bwrap-user")
        self._limits = {**_LIMITS, **(_OWN_PROCESSES if sandbox.backend.name == "bwrap-user" else {})}
        self._python = host_interpreter() if host else "python3"
        self.fingerprint: Mapping[str, str] = {
            "sandbox": f"{sandbox.backend.name} {sandbox.backend.version}",
            "python": platform.python_version() if host else CONTAINER_IMAGE,
        }

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> Episode:
        """One problem; nothing runs before the reply is there."""
        del chats, seed
        return self._build(sample, self)

    async def judge(self, program: Program) -> Verdict:
        """Apply a program's tests; anything but the secret that follows the last one is a failure.

        Raises:
            SandboxFault: the sandbox failed, not the program.
        """
        secret = secrets.token_hex(16)
        request = json.dumps({**asdict(program), "secret": secret})
        box = await self._sandbox.create(hostname=secrets.token_hex(6), cwd="/tmp", caps=_CAPS)
        try:
            result = await box.run(
                Command(
                    (self._python, "-I", "-B", "-c", _TESTER),
                    stdin=request.encode(),
                    timeout=self._timeout_s,
                    limits=self._limits,
                )
            )
            if box.killed_from_outside:
                raise SandboxFault("the sandbox was killed while its program ran")
            if result.code == tester.NO_PROCESS:
                raise SandboxFault("the machine has no process left for the program")
        finally:
            await box.destroy()
        if result.stdout == secret.encode() and result.code == 0 and not result.timed_out:
            return Verdict(True)
        return Verdict(False, "timeout" if result.timed_out else f"exit {result.code}")


def images() -> dict[str, Path | Programs | str | Exception]:
    """What programs run on under each backend: this Python, or a container's."""
    return {
        "bwrap": host_python(),
        "bwrap-user": host_python(),
        "docker": CONTAINER_IMAGE,
        "podman": CONTAINER_IMAGE,
    }


@asynccontextmanager
async def open_world(
    choice: str, timeout_s: float, build: Callable[[Sample, HumanEvalWorld], Episode]
) -> AsyncIterator[HumanEvalWorld]:
    """Find a sandbox, then judge in it; closes it at the end."""
    async with open_sandbox(images(), choice) as sandbox:
        yield HumanEvalWorld(sandbox, timeout_s, build)
