"""Sandboxes for tests: on the host's programs, or on the OS task's system."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness.data import cache_folder
from harness.errors import MissingPart
from tasks._shared.sandbox import Sandbox, host_python, open_sandbox
from tasks._shared.sandbox.cgroups import discover
from tasks.os.image import built_root

HOSTNAME = "0123456789ab"


@asynccontextmanager
async def opened(backend: str = "bwrap") -> AsyncIterator[Sandbox]:
    """A working backend on the host's programs, or a skip (in CI, for bwrap, a failure) with the reason."""
    try:
        async with open_sandbox({backend: host_python()}) as sandbox:
            yield sandbox
    except MissingPart as error:
        if os.environ.get("CI") and backend == "bwrap":
            raise
        pytest.skip(str(error))


@asynccontextmanager
async def system() -> AsyncIterator[Sandbox]:
    """A working bwrap backend on the OS task's system, or a skip (in CI a failure) with the reason."""
    try:
        async with open_sandbox({"bwrap": built_root(cache_folder())}) as sandbox:
            yield sandbox
    except MissingPart as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def leftovers(owner: int = 0, besides: str = "") -> list[str]:
    """Mounts, control groups and processes that belong to sandboxes of a process, by default this one.

    `besides` names control groups that may be there, with the processes in them.
    """
    layout, _ = discover()
    assert layout is not None
    mark = f"harness-box-{owner or os.getpid()}-"
    found = [f for root in set(layout.roots.values()) for f in root.glob(f"{mark}*-*") if f.is_dir()]
    groups = [str(folder) for folder in found if folder.name != besides]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if mark in line]
    processes = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            joined = (folder / "cgroup").read_text().replace("\n", "/").split("/")
            if any(name.startswith(mark) and name != besides for name in joined):
                processes.append(folder.name)
        except OSError:
            continue
    return groups + mounts + processes


def stages(owner: int) -> list[Path]:
    """Folders on which sandboxes of a process were laid."""
    return list(Path(tempfile.gettempdir()).glob(f"harness-box-{owner}-*"))


async def soon(condition: Callable[[], bool], *, within: float = 30.0) -> None:
    """Wait for something that other processes bring about."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 (nobody tells us)
            await asyncio.sleep(0.05)
