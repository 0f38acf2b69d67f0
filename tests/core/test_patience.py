"""A process that is stopped and continued misses no deadline that it would have kept."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

from harness.running import patience

WAITS = """
import asyncio, sys
from harness.running import patience
patience.GAP_S = 0.5
patience.TICK_S = 0.1

async def main():
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_reader(0, heard.set)
    async with asyncio.timeout({limit_s}):
        print("waiting", flush=True)
        await heard.wait()
    print("in time", flush=True)

{run}(main())
"""


def stopped_and_continued(run: str, limit_s: float) -> tuple[str, str]:
    """Stop a process for longer than it waits for a line, continue it, and give it the line soon after."""
    script = WAITS.format(run=run, limit_s=limit_s)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        time.sleep(limit_s + 0.5)  # how long it is stopped, not a wait for anything
        os.kill(process.pid, signal.SIGCONT)
        return process.communicate("go\n", timeout=60)


def test_a_stopped_process_has_its_time_afterwards():
    said, warned = stopped_and_continued("patience.run", 2.0)
    assert said == "in time\n", warned
    assert "stood still" in warned


def test_deadlines_pass_while_it_runs():
    async def wait_for_ever() -> str:
        try:
            async with asyncio.timeout(0.2):
                await asyncio.Event().wait()
        except TimeoutError:
            return "late"
        return ""

    assert patience.run(wait_for_ever()) == "late"


def test_a_long_wait_without_timers_is_no_gap(monkeypatch):
    """The loop itself wakes often enough not to take its own waiting for a stop."""
    monkeypatch.setattr(patience, "GAP_S", 0.4)
    monkeypatch.setattr(patience, "TICK_S", 0.1)

    async def wait() -> float:
        loop = asyncio.get_running_loop()
        began, real = loop.time(), time.monotonic()
        await asyncio.to_thread(time.sleep, 1.5)
        return (loop.time() - began) / (time.monotonic() - real)

    assert patience.run(wait()) > 0.5
