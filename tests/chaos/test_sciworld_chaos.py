"""SciWorld when its Java processes die, hang or fail inside: the right score or an infra error."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contexts import samples_of, task_context
from processes import gone, until_gone

from harness import data
from harness.episode import BaseOracle, Oracle
from harness.errors import EnvironmentFault
from harness.models.api import LiveEpisodes
from harness.models.connect import open_model
from harness.running.activity import Activity
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.storage.store import Attempt
from harness.types import Context, Observation, Reply, Sample
from tasks.sciworld.gateway import ENTRY
from tasks.sciworld.oracle import SHIPPED, SPENT, SciWorldOracle
from tasks.sciworld.pool import SimulatorPool
from tasks.sciworld.task import TASK
from tasks.sciworld.world import SciWorld, open_world

GONE_S = 30.0


def context(work: Path, **options: Any) -> Context:
    found = data.resolve("sciworld", "fixture")
    free = {"action_match": "passthrough", "stop_rules": "off", "step_limit": None, **options}
    return task_context(TASK, found.path, work, source="fixture", **free)


def short(ctx: Context, count: int) -> list[Sample]:
    """The fixture's samples with the shortest solutions that still take some turns."""
    gold = json.loads((ctx.data / SHIPPED).read_text(encoding="utf-8"))
    samples = [s for s in samples_of(TASK, ctx, "test") if len(gold[s.id]) >= 8]
    return sorted(samples, key=lambda sample: len(gold[sample.id]))[:count]


class Saboteur(SciWorldOracle):
    """An oracle that does something to the machine before one of its answers."""

    def __init__(self, ctx: Context, sample: Sample, turn: int, deed: Callable[[], None]) -> None:
        super().__init__(ctx, sample)
        self._turn, self._deed, self._answers = turn, deed, 0

    async def reply(self, observation: Observation) -> str:
        self._answers += 1
        if self._answers == self._turn:
            self._deed()
        return await super().reply(observation)


async def played(
    ctx: Context, world: SciWorld, samples: list[Sample], oracle: Callable[[Sample], Oracle]
) -> list[Attempt]:
    live = LiveEpisodes()
    async with open_model("oracle", live=live) as model:
        setup = TaskRun(TASK.spec, world, model, live, oracle=oracle, history=TASK.history(ctx))
        return list(await asyncio.gather(*(run_episode(setup, sample, 0, Activity()) for sample in samples)))


async def test_a_jvm_killed_in_the_middle_costs_no_point(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    samples = short(ctx, 3)
    async with TASK.world(ctx) as world:
        before = [jvm.pid for jvm in world.pool.jvms]

        def oracle(sample: Sample) -> SciWorldOracle:
            turn = 5 if sample is samples[0] else 0
            return Saboteur(ctx, sample, turn, lambda: os.kill(before[0], signal.SIGKILL))

        attempts = await played(ctx, world, samples, oracle)
        after = [jvm.pid for jvm in world.pool.jvms]
    assert [(a.outcome, a.value) for a in attempts] == [("scored", 1.0)] * 3, [a.error for a in attempts]
    assert attempts[0].rebuilds == 1
    assert before[0] not in after
    await until_gone(*before, *after, within_s=GONE_S)


@pytest.mark.slow
async def test_a_call_that_never_returns_ends_its_jvm(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    samples = short(ctx, 2)
    async with open_world(ctx, call_s=10.0) as world:
        pid = world.pool.jvms[0].pid

        def oracle(sample: Sample) -> SciWorldOracle:
            turn = 4 if sample is samples[0] else 0
            return Saboteur(ctx, sample, turn, lambda: os.kill(pid, signal.SIGSTOP))

        attempts = await played(ctx, world, samples, oracle)
    assert [(a.outcome, a.value) for a in attempts] == [("scored", 1.0)] * 2, [a.error for a in attempts]
    assert attempts[0].rebuilds >= 1
    await until_gone(pid, within_s=GONE_S)


class Thinker(BaseOracle):
    """Wants no solution, so that the simulator that plays is the first to be asked."""

    async def reply(self, observation: Observation) -> str:
        return SPENT


async def test_a_bad_variation_is_an_infra_error_with_its_reason(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    bad = Sample("boil/99", {"task": "boil", "variation": 99, "index": 0})
    unknown = Sample("knit/0", {"task": "knit", "variation": 0, "index": 0})
    async with TASK.world(ctx) as world:
        attempts = await played(ctx, world, [bad, unknown], lambda _: Thinker())
    assert [attempt.outcome for attempt in attempts] == ["infra_error", "infra_error"]
    assert [attempt.value for attempt in attempts] == [None, None]
    assert "variation (99) exceeds" in attempts[0].error
    assert "Unknown task (knit)" in attempts[1].error


@pytest.mark.parametrize(
    "where", ["in the error state", pytest.param("thrown to the caller", marks=pytest.mark.slow)]
)
async def test_a_failure_inside_the_simulator_is_no_observation(tmp_path: Path, where: str) -> None:
    ctx = context(tmp_path)
    sample = short(ctx, 1)[0]
    async with TASK.world(ctx) as world:
        episode = await world.episode(sample, {}, 0)
        await episode.reset()
        # The episode has one of these simulators; the others load a task before anyone plays in them.
        for slot in [slot for jvm in world.pool.jvms for slot in jvm.slots]:
            if where == "in the error state":
                # What the simulator's own handler does with an exception during a step.
                assert slot.agent is not None
                await slot.gateway.call(slot.agent, "setErrorState", "java.lang.RuntimeException: broken")
            else:
                await slot.gateway.call(ENTRY, "agentInterface_$eq", None)
        with pytest.raises(EnvironmentFault, match=r"broken|NullPointerException"):
            await episode.step(Reply("Action: open door to kitchen"))
        await episode.close()
        # The simulator is whole again for the next episode.
        attempts = await played(ctx, world, [sample], lambda sample: SciWorldOracle(ctx, sample))
    assert (attempts[0].outcome, attempts[0].value) == ("scored", 1.0), attempts[0].error


@pytest.mark.slow
async def test_a_cancelled_turn_leaves_a_simulator_that_works(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    sample = short(ctx, 1)[0]
    async with TASK.world(ctx) as world:
        episode = await world.episode(sample, {}, 0)
        await episode.reset()
        turn = asyncio.create_task(episode.step(Reply("Action: open door to kitchen")))
        await asyncio.sleep(0)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        await episode.close()
        attempts = await played(ctx, world, [sample], lambda sample: SciWorldOracle(ctx, sample))
        pids = [jvm.pid for jvm in world.pool.jvms]
    assert attempts[0].value == 1.0
    await until_gone(*pids, within_s=GONE_S)


@pytest.mark.slow
async def test_a_jvm_retires_after_its_share_of_episodes() -> None:
    pool = SimulatorPool(slots=2, episodes=3)
    try:
        slots = [await pool.acquire() for _ in range(2)]
        first = slots[0].jvm.pid
        pool.release(slots[0])
        await pool.settled()
        third = await pool.acquire()
        assert third.jvm.pid == first
        fourth = await pool.acquire()
        assert fourth.jvm.pid != first
        pool.release(slots[1])
        pool.release(third)
        await until_gone(first, within_s=GONE_S)
    finally:
        await pool.close()


async def test_no_jvm_outlives_a_killed_parent(root: Path) -> None:
    script = (
        "import asyncio\n"
        "from tasks.sciworld.pool import SimulatorPool\n"
        "async def main():\n"
        "    slot = await SimulatorPool(slots=1).acquire()\n"
        "    print(slot.jvm.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, cwd=root
    )
    try:
        assert parent.stdout is not None
        async with asyncio.timeout(120):
            pid = int(await parent.stdout.readline())
        assert not gone(pid)
    finally:
        parent.kill()
        await parent.wait()
    await until_gone(pid, within_s=GONE_S)
