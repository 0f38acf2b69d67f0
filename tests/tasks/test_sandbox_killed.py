"""Who ended a sandbox: something outside, which is the world's failure, or what ran inside."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from process_tree import below
from sandboxes import HOSTNAME, opened, soon

from tasks._shared.sandbox import Caps, Command, SandboxFault, host_interpreter
from tasks._shared.sandbox.bwrap_box import BwrapBox
from tasks._shared.sandbox.bwrap_user import UserBox
from tasks._shared.sandbox.spec import BoxSpec, Programs

CAPS = Caps(memory_mb=128, pids=48)


def bwrap_of(box: BwrapBox) -> int:
    """bwrap's own process, the parent of the first one inside."""
    return int(Path(f"/proc/{box.init_pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("victim", ["first process", "bwrap"])
async def test_a_sandbox_killed_while_a_command_runs_was_killed_from_outside(victim: str) -> None:
    async with opened() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME, caps=CAPS)
        assert isinstance(box, BwrapBox)
        running = asyncio.create_task(box.run(Command(("sleep", "62"), timeout=50)))
        await soon(lambda: "sleep 62" in below(os.getpid()).values())
        assert box.alive and not box.killed_from_outside
        os.kill(box.init_pid if victim == "first process" else bwrap_of(box), signal.SIGKILL)
        result = await running
        assert result.code != 0 and not result.timed_out
        assert box.killed_from_outside and not box.alive
        await box.destroy()


async def test_a_program_that_uses_up_the_memory_is_not_killed_from_outside() -> None:
    async with opened() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME, caps=CAPS)
        assert isinstance(box, BwrapBox)
        command = (host_interpreter(), "-c", f"x = bytearray({2 * CAPS.memory_mb} << 20)")
        assert (await box.run(Command(command))).code != 0
        os.kill(box.init_pid, signal.SIGKILL)  # as the kernel does when nothing else is left to kill
        await soon(lambda: not box.alive)
        assert not box.killed_from_outside
        await box.destroy()


async def test_a_one_shot_sandbox_that_is_killed_raises() -> None:
    programs = Programs((Path("/usr"),))
    box = UserBox(BoxSpec(programs, HOSTNAME), programs)
    try:
        running = asyncio.create_task(box.run(Command(("sleep", "61"), timeout=50)))
        await soon(lambda: "sleep 61" in below(os.getpid()).values())
        (bwrap, *_) = (pid for pid, words in below(os.getpid()).items() if words.endswith("sleep 61"))
        os.kill(bwrap, signal.SIGKILL)
        with pytest.raises(SandboxFault, match="signal 9"):
            await running
    finally:
        await box.destroy()
