"""Browsers, their driver and the whole harness process die while MiniWoB++ episodes run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from contexts import samples_of, task_context
from in_browser import NEEDS_BROWSER

from harness.models.api import Call, LiveEpisodes
from harness.running.activity import Activity
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.storage.store import Attempt
from harness.types import Context, Message, Reply, Sample
from tasks._shared.browser.process import parents
from tasks.miniwob.task import TASK
from tasks.miniwob.world import WobWorld

pytestmark = [
    pytest.mark.timeout(180),
    NEEDS_BROWSER,
]

FIXTURE = Path(__file__).parents[2] / "tasks" / "miniwob" / "fixture"


def context(work: Path) -> Context:
    return task_context(TASK, FIXTURE, work, source="fixture")


class Player:
    """The oracle as a model, with something that happens before one of its answers."""

    name = "player"

    def __init__(self, ctx: Context, sample: Sample, live: LiveEpisodes) -> None:
        self.oracle = TASK.oracle(ctx, sample)
        self.sample = sample
        self.live = live
        self.calls = 0
        self.before: dict[int, asyncio.Event] = {}
        self.reached: dict[int, asyncio.Event] = {}

    def render(self, messages: tuple[Message, ...], suite: str = "", task: str = "") -> str:
        return "\n".join(message.content for message in messages)

    async def complete(self, call: Call) -> Reply:
        self.calls += 1
        if self.calls in self.reached:
            self.reached[self.calls].set()
            await self.before[self.calls].wait()
        found = self.live.get(TASK.spec.name, self.sample.id, 0)
        assert found is not None
        return Reply(await self.oracle.reply(found.observation))

    def stop_at(self, call: int) -> tuple[asyncio.Event, asyncio.Event]:
        """Events for `this call is reached` and `go on`."""
        self.reached[call], self.before[call] = asyncio.Event(), asyncio.Event()
        return self.reached[call], self.before[call]


def setup(ctx: Context, world: WobWorld, sample: Sample, live: LiveEpisodes) -> tuple[TaskRun, Player]:
    player = Player(ctx, sample, live)
    made = TaskRun(TASK.spec, world, player, live, oracle=lambda _: player.oracle)  # type: ignore[arg-type]
    return made, player


@asynccontextmanager
async def halted(
    ctx: Context, world: WobWorld, count: int, call: int
) -> AsyncIterator[tuple[list[asyncio.Task[Attempt]], list[asyncio.Event]]]:
    """Episodes that all wait for the model's answer number `call`, and the events that let them go on.

    Answers 1 to 3 make the plan, then two make an instruction: at the eighth, two have been carried out.
    """
    live, tasks, going = LiveEpisodes(), [], []
    samples = [sample for sample in samples_of(TASK, ctx, "test") if sample.labels["task"] == "enter-text"]
    for sample in samples[:count]:
        made, player = setup(ctx, world, sample, live)
        reached, go = player.stop_at(call)
        tasks.append(asyncio.create_task(run_episode(made, sample, 0, Activity())))
        going.append(go)
        async with asyncio.timeout(60):
            await reached.wait()
    try:
        yield tasks, going
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def finished(tasks: list[asyncio.Task[Attempt]], going: list[asyncio.Event]) -> list[Attempt]:
    for go in going:
        go.set()
    async with asyncio.timeout(100):
        return await asyncio.gather(*tasks)


@pytest.mark.parametrize("victim", ["browser", "driver"])
async def test_killed_mid_episode_every_result_is_right(tmp_path: Path, victim: str):
    ctx = context(tmp_path)
    async with TASK.world(ctx) as world, halted(ctx, world, 8, 8) as (tasks, going):
        old = world.pool.pids()
        launches = world.pool.launches
        targets = old if victim == "browser" else [pid for pid in world.pool.drivers if child(pid)]
        assert targets
        for pid in targets:
            os.kill(pid, signal.SIGKILL)
        attempts = await finished(tasks, going)
        assert [attempt.outcome for attempt in attempts] == ["scored"] * 8, [a.error for a in attempts]
        assert [attempt.value for attempt in attempts] == [1.0] * 8
        assert all(attempt.rebuilds == 1 for attempt in attempts)
        assert world.pool.launches > launches
        assert set(old).isdisjoint(world.pool.pids())
        marker = world.pool.marker
    assert parents(marker) == {}


def child(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
    return False


async def test_a_browser_that_keeps_dying_is_an_infra_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ctx = context(tmp_path)
    async with TASK.world(ctx) as world, halted(ctx, world, 1, 4) as (tasks, going):
        # From here on what is launched is no browser at all.
        monkeypatch.setenv("HARNESS_CHROMIUM", "/bin/false")
        for pid in world.pool.pids():
            os.kill(pid, signal.SIGKILL)
        (attempt,) = await finished(tasks, going)
        assert (attempt.outcome, attempt.value) == ("infra_error", None)
        assert "EnvironmentFault" in attempt.error
        monkeypatch.delenv("HARNESS_CHROMIUM")
        episode = await world.episode(samples_of(TASK, ctx, "test")[0], {}, 1)
        assert not (await episode.reset()).done
        await episode.close()


HOLDING = """
import asyncio, sys
from pathlib import Path
from tasks._shared.browser import BrowserPool, BrowserSettings

async def main():
    async with BrowserPool(BrowserSettings()) as pool:
        tabs = [await pool.tab() for _ in range(3)]
        print(pool.marker, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_killed_harness_leaves_no_browser(tmp_path: Path, root: Path):
    env = os.environ | {"PYTHONPATH": str(root)}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDING, stdout=pipe, env=env, cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        marker = (await process.stdout.readline()).decode().strip()
        assert parents(marker)
    finally:
        process.kill()
        await process.wait()
    async with asyncio.timeout(30):
        while parents(marker):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.05)
