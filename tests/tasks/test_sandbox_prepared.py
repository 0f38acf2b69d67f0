"""Sandboxes that are prepared, given up or whose helpers die: one fails at most, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sandboxes import HOSTNAME, opened

from tasks._shared.sandbox import (
    Command,
    Sandbox,
    SandboxFault,
    cgroups,
    host_interpreter,
    reply,
)
from tasks._shared.sandbox.prepared_cgroup import PreparedCgroup
from tasks._shared.sandbox.reply import Reply


def our_groups() -> list[Path]:
    layout, reason = cgroups.discover()
    assert layout is not None, reason
    roots = set(layout.roots.values())
    return [folder for root in roots for folder in root.glob(f"{cgroups.owner_prefix()}*")]


async def prepared(sandbox: Sandbox) -> int:
    """The process that waits to become the next sandbox, with no other sandbox alive."""
    assert await sandbox.backend.waiting.ready()  # type: ignore[attr-defined]
    (waiting,) = {int(pid) for group in our_groups() for pid in (group / "cgroup.procs").read_text().split()}
    return waiting


async def test_a_prepared_place_that_nobody_took_leaves_nothing() -> None:
    async with opened() as sandbox:
        await (await sandbox.create(hostname=HOSTNAME)).destroy()
        waiting = await prepared(sandbox)
    assert our_groups() == []
    with pytest.raises(ProcessLookupError):
        os.kill(waiting, 0)


async def test_a_prepared_process_that_died_fails_one_sandbox_and_no_other() -> None:
    async with opened() as sandbox:
        for _ in range(3):
            os.kill(await prepared(sandbox), signal.SIGKILL)
            with pytest.raises(SandboxFault):
                await sandbox.create(hostname=HOSTNAME)
            box = await sandbox.create(hostname=HOSTNAME)
            assert (await box.run(Command(("echo", "here")))).stdout == b"here\n"
            await box.destroy()
    assert our_groups() == []


async def test_a_process_that_dies_before_the_handshake_fails_one_sandbox_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    take = PreparedCgroup.take

    async def taken_and_killed(self: PreparedCgroup, request: Mapping[str, Any], fds: Sequence[int]) -> Reply:
        reply = await take(self, request, fds)
        process = os.pidfd_open(reply.sender)
        os.kill(reply.sender, signal.SIGKILL)
        await asyncio.to_thread(select.select, [process], [], [], 30)
        os.close(process)
        return reply

    async with opened() as sandbox:
        os.kill(await prepared(sandbox), signal.SIGSTOP)  # it gets the request, and makes nothing of it
        monkeypatch.setattr(PreparedCgroup, "take", taken_and_killed)
        with pytest.raises(SandboxFault):
            await sandbox.create(hostname=HOSTNAME)
        monkeypatch.undo()
        await (await sandbox.create(hostname=HOSTNAME)).destroy()
    assert our_groups() == []


async def test_a_sandbox_given_up_while_it_is_made_leaves_nothing() -> None:
    async with opened() as sandbox:
        for turns in range(24):  # give up at each of the points where creation waits
            # Every other time right after another sandbox, while the next place is being prepared.
            before = [await sandbox.create(hostname=HOSTNAME)] if turns % 2 else []
            making = asyncio.ensure_future(sandbox.create(hostname=HOSTNAME))
            for _ in range(turns // 2):
                await asyncio.sleep(0)
            making.cancel()
            with pytest.raises(asyncio.CancelledError):
                await making
            for box in before:
                await box.destroy()
        box = await sandbox.create(hostname=HOSTNAME)
        assert (await box.run(Command(("echo", "here")))).stdout == b"here\n"
        await box.destroy()
    assert our_groups() == []


async def test_a_fork_server_that_was_killed_or_stopped_is_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reply, "ANSWER_S", 3.0)
    async with opened() as sandbox:
        client = sandbox.backend.fork_client  # type: ignore[attr-defined]
        for ending in (signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL):
            os.kill(client.pid, ending)
            if ending == signal.SIGSTOP:
                box = await sandbox.create(hostname=HOSTNAME)  # in the place that was prepared before
                with pytest.raises(SandboxFault, match="said nothing"):
                    await box.run(Command(("true",)))
                await box.destroy()
            box = await sandbox.create(hostname=HOSTNAME)
            assert (await box.run(Command(("echo", "here")))).stdout == b"here\n"
            await box.destroy()
    assert our_groups() == []


STOPPER = """
import os, signal, sys
keep = {"1", str(os.getpid())}
print("on", flush=True)
while True:
    for pid in os.listdir("/proc"):
        if pid.isdigit() and pid not in keep:
            try: os.kill(int(pid), signal.SIGSTOP)
            except OSError: pass
"""


async def test_whoever_stops_what_enters_hangs_nobody_and_is_stopped_by_freezing() -> None:
    async with opened() as sandbox:
        box = await sandbox.create(hostname=HOSTNAME)
        hold = asyncio.ensure_future(box.run(Command((host_interpreter(), "-I", "-c", STOPPER), timeout=600)))
        async with asyncio.timeout(120):
            for _ in range(3):
                result = await box.run(Command(("sleep", "5"), timeout=1))
                assert result.code in (127, 137)
            assert await box.freeze()
            result = await box.run(Command(("bash", "-c", "grep -c State:.T /proc/[1-9]*/status; true")))
            assert result.code == 0 and b"1/status:1" in result.stdout
        await box.destroy()
        hold.cancel()
        await asyncio.gather(hold, return_exceptions=True)
    assert our_groups() == []
