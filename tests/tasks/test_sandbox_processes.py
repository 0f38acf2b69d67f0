"""A machine that has no process left: sandboxes fail, and nothing of them stays behind."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from limited_groups import group, inside
from sandboxes import leftovers, opened, stages

from tasks._shared.sandbox import Caps, SandboxFault, cgroups
from tasks._shared.sandbox.fork_client import ForkClient

RUNS_OUT = """
import asyncio, sys
from pathlib import Path
from tasks._shared.sandbox import SandboxFault, host_python, open_sandbox

limit, server_dies = Path(sys.argv[1]), sys.argv[2] == "its server dies"

async def main():
    async with open_sandbox({"bwrap": host_python()}) as sandbox:
        await sandbox.create(hostname="0123456789ab")
        if server_dies:
            sandbox.backend.fork_client.kill()
        limit.write_text("1")
        for _ in range(3):
            try:
                await sandbox.create(hostname="0123456789ab")
            except SandboxFault as error:
                print(error)

asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes control groups")
@pytest.mark.parametrize("case", ["its server lives", "its server dies"])
def test_sandboxes_that_find_no_process_fail_and_leave_nothing(case: str) -> None:
    with group("pids", pids=64) as few:
        (limit,) = (file for file, _ in few.limits)
        argv = inside(few, [sys.executable, "-c", RUNS_OUT, str(limit), case])
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            said, failed = process.communicate(timeout=300)
        assert process.returncode == 0, failed
        assert len(said.splitlines()) == 3 and "Resource temporarily unavailable" in said
        assert leftovers(process.pid) == [] and stages(process.pid) == []


async def test_the_fork_server_makes_no_group_that_was_removed_meanwhile() -> None:
    layout, reason = cgroups.discover()
    if layout is None:
        pytest.skip(reason)
    removed = layout.group(f"{cgroups.owner_prefix()}removed", Caps())
    async with opened():  # or a skip
        client = ForkClient()
        await client.start()
        try:
            request = {"op": "prepare", "folders": [str(folder) for folder in removed.folders], "ids": 0}
            answer = await client.ask(request, [])
            with pytest.raises(SandboxFault, match="FileNotFoundError"):
                await answer.first()
            answer.close()
            assert not any(folder.exists() for folder in removed.folders)
        finally:
            await client.close()
            await removed.remove()


async def test_what_a_dead_process_left_is_removed_with_what_lies_in_it() -> None:
    """A run within the limits of another one, both of which are gone; not while the inner one lives."""
    layout, reason = cgroups.discover()
    if layout is None:
        pytest.skip(reason)
    dead, own = "harness-box-4194305-1-", cgroups.owner_prefix()
    outer = cgroups.Group(tuple(dict.fromkeys(root / f"{dead}planted" for root in layout.roots.values())), ())
    inner, living = (
        cgroups.Group(tuple(folder / f"{name}inner" for folder in outer.folders), ()) for name in (dead, own)
    )
    for one in (outer, inner, living):
        one.make()
    try:
        await cgroups.reap(layout)
        assert all(folder.exists() for folder in (*outer.folders, *living.folders))
        for folder in living.folders:
            folder.rmdir()
        await cgroups.reap(layout)
        assert not any(folder.exists() for folder in outer.folders)
    finally:
        for one in (inner, living, outer):
            await one.remove()
