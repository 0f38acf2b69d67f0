"""DBBench when its server is killed, or the harness itself: rebuilt by replay, nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from contexts import samples_of, task_context
from databases import FIXTURE, pid_of
from processes import exists

from harness.models.api import Call, LiveEpisodes
from harness.running.activity import Activity
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.storage.store import Attempt
from harness.types import Context, Reply, Sample
from tasks.dbbench import server as servers
from tasks.dbbench.task import TASK
from tasks.dbbench.world import DbWorld


class Saboteur:
    """Plays the oracle's part, and before one of its answers does harm."""

    name = "saboteur"

    def __init__(self, answer: Callable[[Call], Awaitable[str]], harm: Callable[[Call], None]) -> None:
        self._answer, self._harm = answer, harm

    def render(self, messages: Any, suite: str = "", task: str = "") -> str:
        return "\n".join(message.content for message in messages)

    async def complete(self, call: Call) -> Reply:
        self._harm(call)
        return Reply(await self._answer(call))


def context(work: Path) -> Context:
    return task_context(TASK, FIXTURE, work, source="fixture")


async def oracle(ctx: Context, world: DbWorld, sample: Sample, harm: Callable[[Call], None]) -> Attempt:
    player, live = TASK.oracle(ctx, sample), LiveEpisodes()

    async def answer(call: Call) -> str:
        found = live.get("dbbench", sample.id, 0)
        assert found is not None
        return await player.reply(found.observation)

    model = Saboteur(answer, harm)
    setup = TaskRun(TASK.spec, world, model, live, oracle=lambda _: player)  # type: ignore[arg-type]
    return await run_episode(setup, sample, 0, Activity())


def folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob(f"{servers.PREFIX}{os.getpid()}-*"))


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = folders()
    yield
    assert folders() == before


async def test_a_server_killed_mid_run_is_restarted_and_episodes_replayed(tmp_path: Path):
    ctx = context(tmp_path)
    samples = samples_of(TASK, ctx, "std")
    async with TASK.world(ctx) as world:
        assert isinstance(world, DbWorld)
        first = pid_of(world)
        killed: list[int] = []

        def harm(call: Call) -> None:
            # Between the change and the answer: what was changed is gone with the server.
            if call.key.call == 1 and not killed:
                killed.append(pid_of(world))
                os.kill(killed[0], signal.SIGKILL)

        attempts = await asyncio.gather(*(oracle(ctx, world, sample, harm) for sample in samples))
        assert [(a.sample, a.outcome, a.error) for a in attempts if a.value != 1.0] == []
        assert killed == [first]
        second = pid_of(world)
        assert second != first
        assert sum(a.rebuilds for a in attempts) >= 1
    assert not exists(first)
    assert not exists(second)


async def test_a_server_that_hangs_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from tasks.dbbench import session

    monkeypatch.setattr(session, "ADMIN_S", 3.0)
    monkeypatch.setattr(session, "CONNECT_S", 2.0)
    monkeypatch.setattr(session, "GRACE_S", 1.0)
    monkeypatch.setattr(session, "ROLLBACK_S", 1.0)
    ctx = task_context(TASK, FIXTURE, tmp_path, source="fixture", statement_s=1.0)
    async with TASK.world(ctx) as world:
        assert isinstance(world, DbWorld)
        stopped: list[int] = []

        def harm(call: Call) -> None:
            if not stopped:
                stopped.append(pid_of(world))
                os.kill(stopped[0], signal.SIGSTOP)

        attempt = await oracle(ctx, world, samples_of(TASK, ctx, "std")[1], harm)
        assert (attempt.outcome, attempt.value) == ("scored", 1.0), attempt.error
        assert attempt.rebuilds >= 1
        assert not exists(stopped[0])


async def test_a_cancelled_world_leaves_nothing(tmp_path: Path):
    ctx = context(tmp_path)
    pids: list[int] = []
    opened = asyncio.Event()

    async def work() -> None:
        async with TASK.world(ctx) as world:
            assert isinstance(world, DbWorld)
            pids.append(pid_of(world))
            episode = await world.episode(samples_of(TASK, ctx, "std")[0], {}, 0)
            await episode.reset()
            opened.set()
            await episode.step(Reply("Action: Operation\n```sql\nSELECT SLEEP(60)\n```"))

    working = asyncio.create_task(work())
    async with asyncio.timeout(120):
        await opened.wait()
        working.cancel()
        await asyncio.wait({working})
    assert working.cancelled()
    assert not exists(pids[0])


KILLED = """
import asyncio, sys
from pathlib import Path
from tasks.dbbench.server import Embedded
async def main():
    server = Embedded()
    await server.start()
    print(server.pid, Path(server.address.socket).parent, len(server.address.socket), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def test_a_killed_harness_takes_its_server_along_and_the_next_one_sweeps(root: Path):
    command = [sys.executable, "-c", KILLED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as harness:
        assert harness.stdout is not None
        pid, folder, length = harness.stdout.readline().split()
        assert int(length) < 108
        harness.kill()
    deadline = time.monotonic() + 30
    while exists(int(pid)):
        assert time.monotonic() < deadline, "the server outlives its harness"
        time.sleep(0.05)
    assert Path(folder).is_dir()
    servers.sweep()
    assert not Path(folder).is_dir()


async def test_as_root_the_server_runs_as_somebody_else(tmp_path: Path):
    if os.geteuid():
        pytest.skip("not root")
    async with TASK.world(context(tmp_path)) as world:
        assert isinstance(world, DbWorld)
        status = await asyncio.to_thread(Path(f"/proc/{pid_of(world)}/status").read_text)
    uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    assert "0" not in uids
