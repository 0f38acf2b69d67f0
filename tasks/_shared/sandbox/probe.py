"""Finds a backend that can make sandboxes on this machine, or reports why none can."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.errors import MissingPart
from tasks._shared.sandbox import cgroups, seccomp
from tasks._shared.sandbox.spec import Backend, Box, BoxSpec, Caps, Command, Programs, SandboxFault

_TRIAL_S = 60.0


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A backend that was tried and works, with the image to use."""

    backend: Backend
    image: Path | Programs | str

    async def create(self, *, hostname: str, cwd: str = "/", caps: Caps = Caps()) -> Box:  # noqa: B008
        """Make a sandbox; the caller destroys it."""
        return await self.backend.create(BoxSpec(self.image, hostname, cwd, caps))


@contextlib.asynccontextmanager
async def open_sandbox(
    images: Mapping[str, Path | Programs | str | Exception], choice: str = "auto"
) -> AsyncIterator[Sandbox]:
    """Open the first backend that passes the checks on a trial sandbox.

    Args:
        images: backend to its image, in order of preference; an exception says why it has none.
        choice: `auto`, or the one backend wanted.

    Raises:
        MissingPart: no backend works; the message has the reason of each. Nothing ran outside a sandbox.
    """
    reasons: list[str] = []
    for name, image in images.items():
        if choice not in ("auto", name):
            continue
        try:
            if isinstance(image, Exception):
                raise image
            backend = await _OPENERS[name]()
        except (SandboxFault, MissingPart, OSError) as error:
            reasons.append(f"{name}: {error}")
            continue
        try:
            reason = await trial(backend, image)
            if not reason:
                yield Sandbox(backend, image)
                return
            reasons.append(f"{name}: {reason}")
        finally:
            await backend.close()
    known = ", ".join(images)
    why = "\n  ".join(reasons or [f"{choice} is none of {known}"])
    raise MissingPart(f"no sandbox can be made here, and model-written code runs nowhere else:\n  {why}")


async def trial(backend: Backend, image: Path | Programs | str) -> str:
    """Why a trial sandbox is not good enough; empty when it is."""
    script = "echo $(uname -n); grep -c : /proc/net/dev; grep CapEff /proc/self/status"
    try:
        box = await backend.create(BoxSpec(image, secrets.token_hex(6)))
        try:
            result = await box.run(Command(("bash", "-c", script), timeout=_TRIAL_S))
        finally:
            await box.destroy()
    except (SandboxFault, OSError, TimeoutError) as error:
        return str(error) or type(error).__name__
    words = result.stdout.decode("utf-8", "replace").split()
    if len(words) != 4:
        return f"the trial command failed: {result.stderr.decode('utf-8', 'replace').strip()[:300]}"
    if words[0] != box.spec.hostname or words[0] == platform.node():
        return f"the trial sandbox is called {words[0]}"
    if words[1] != "1":
        return "the trial sandbox has a network"
    if int(words[3], 16) & 1 << 21:
        return "the trial sandbox may administer the host (CAP_SYS_ADMIN)"
    return ""


async def _bwrap() -> Backend:
    from tasks._shared.sandbox.bwrap import Bwrap

    version = await _bwrap_version()
    if os.geteuid() != 0:
        raise MissingPart("needs root for the overlay file system and control groups")
    _require("setpriv")
    layout, reason = cgroups.discover()
    if layout is None:
        raise MissingPart(reason)
    backend = Bwrap(layout, version)
    try:
        await backend.start()
    except BaseException:
        await backend.close()
        raise
    return backend


async def _bwrap_user() -> Backend:
    from tasks._shared.sandbox.bwrap_user import UserBwrap

    version = await _bwrap_version()
    _require("prlimit")
    return UserBwrap(version)


async def _bwrap_version() -> str:
    if sys.platform != "linux":
        raise MissingPart("needs Linux")
    if not seccomp.supported():
        raise MissingPart(f"no system call filter for {platform.machine()}")
    _require("bwrap")
    process = await asyncio.create_subprocess_exec("bwrap", "--version", stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode().split()[-1]


def _require(program: str) -> None:
    if shutil.which(program) is None:
        raise MissingPart(f"{program} is not on PATH (apt-get install bubblewrap util-linux)")


async def _containers(name: str) -> Backend:
    from tasks._shared.sandbox.container import Containers

    backend = Containers(name)
    await backend.start()
    return backend


_OPENERS: dict[str, Callable[[], Awaitable[Backend]]] = {
    "bwrap": _bwrap,
    "bwrap-user": _bwrap_user,
    "docker": partial(_containers, "docker"),
    "podman": partial(_containers, "podman"),
}


def host_python() -> Programs:
    """This Python and the system's programs, for a sandbox that runs one Python program."""
    folders = dict.fromkeys([Path("/usr"), Path(sys.base_prefix).resolve()])
    outer = [folder for folder in folders if not any(other in folder.parents for other in folders)]
    return Programs(tuple(outer))


def host_interpreter() -> str:
    """The interpreter inside `host_python`, outside any virtual environment."""
    return str(Path(os.path.realpath(sys.executable)))
