"""Browsers, their driver and the whole harness process die while MiniWoB++ episodes run."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from contexts import samples_of, task_context
from in_browser import NEEDS_BROWSER
from leftovers import Place
from process_tree import kill_renderers

from harness.models.api import Call, LiveEpisodes
from harness.running.activity import Activity
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.storage.scratch import scratch
from harness.storage.store import Attempt
from harness.types import Context, Message, Reply, Sample
from tasks._shared.browser.process import parents
from tasks.miniwob.page import WobPage
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


@pytest.mark.parametrize("victim", ["browser", pytest.param("driver", marks=pytest.mark.slow)])
async def test_killed_mid_episode_every_result_is_right(tmp_path: Path, victim: str):
    ctx, told = context(tmp_path), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, found: told.append(found))
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
        assert list((ctx.work / "browser").iterdir()), "the browsers' files are in the task's own folder"
    assert parents(marker) == {}
    assert not (ctx.work / "browser").exists()
    gc.collect()  # which is when asyncio tells of what nobody read
    assert [found for found in told if "reading from the driver" in str(found.get("exception"))] == []


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


async def end(page: WobPage, how: str) -> None:
    """End the process that shows a page, as too much work for it does, or by killing it."""
    shown = page.tab.page
    gone, wire = asyncio.Event(), await shown.context.new_cdp_session(shown)
    shown.on("crash", lambda _: gone.set())
    if how == "kill":
        kill_renderers()
        await asyncio.wait_for(gone.wait(), 60)
        return
    sending = asyncio.ensure_future(wire.send("Page.crash"))
    await asyncio.wait_for(gone.wait(), 60)
    sending.cancel()


@pytest.mark.parametrize(
    ("where", "how", "times", "outcome", "value", "rebuilds"),
    [
        ("act", "crash", 1, "scored", 1.0, 1),  # the machine's doing: the same replies do no harm then
        ("act", "crash", 9, "model_error", 0.0, 1),  # the replies' doing: they crash the page again
        ("start", "crash", 9, "infra_error", None, 2),  # before any action
        ("act", "kill", 2, "scored", 1.0, 2),  # never the replies' doing, however often
        ("act", "kill", 9, "infra_error", None, 2),
    ],
)
async def test_a_page_that_crashes_is_the_models_failure_when_its_actions_do_it_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    how: str,
    times: int,
    outcome: str,
    value: float | None,
    rebuilds: int,
):
    usual, done = getattr(WobPage, where), list[str]()

    async def crashing(page: WobPage, *words: Any, **more: Any) -> Any:
        found = await usual(page, *words, **more) if where == "start" else None
        if len(done) < times:
            done.append(where)
            await end(page, how)
        return found if where == "start" else await usual(page, *words, **more)

    monkeypatch.setattr(WobPage, where, crashing)
    ctx = context(tmp_path)
    async with TASK.world(ctx) as world:
        live = LiveEpisodes()
        (sample, *_) = [one for one in samples_of(TASK, ctx, "test") if one.labels["task"] == "enter-text"]
        made, _ = setup(ctx, world, sample, live)
        async with asyncio.timeout(150):
            attempt = await run_episode(made, sample, 0, Activity())
    assert (attempt.outcome, attempt.value, attempt.rebuilds) == (outcome, value, rebuilds), attempt.error
    assert ("crash" in attempt.note) == (outcome == "model_error")


HOLDING = """
import asyncio, sys
from harness.storage.scratch import scratch
from tasks._shared.browser import BrowserPool, BrowserSettings

async def main():
    with scratch("harness-test-") as work:
        async with BrowserPool(BrowserSettings(folder=work / "browser")) as pool:
            tabs = [await pool.tab() for _ in range(3)]
            print(pool.marker, *pool.drivers, flush=True)
            await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("driver", ["lives", "killed"])
async def test_a_killed_harness_leaves_no_browser_and_the_next_one_sweeps_its_files(
    tmp_path: Path, root: Path, place: Place, driver: str
):
    env = os.environ | {"PYTHONPATH": str(root)}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDING, stdout=pipe, env=env, cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        marker, *drivers = (await process.stdout.readline()).decode().split()
        assert parents(marker) and drivers
    finally:
        process.kill()
        await process.wait()
    for pid in drivers if driver == "killed" else ():
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            os.kill(int(pid), signal.SIGKILL)
    async with asyncio.timeout(30):
        while parents(marker):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.05)
    left = [path for path in place.folder.iterdir() if path.is_dir()]
    assert [path.name.startswith("harness-test-") for path in left] == [True]
    with scratch("harness-test-"):
        assert not left[0].exists()
