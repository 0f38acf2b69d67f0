"""Good episodes of the OS task beside hostile ones: they score as alone, and none fails for the machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import pytest
from contexts import samples_of, task_context
from hostile_scripts import EXHAUSTING, HOSTILE

import tasks.os
from harness.episode import World
from harness.errors import MissingPart
from harness.types import Context, Reply, Sample, Score
from tasks.os.task import TASK

FIXTURE = Path(tasks.os.__file__).parent / "fixture"


def bash(script: str) -> str:
    return f"Think: so.\n\nAct: bash\n\n```bash\n{script}\n```"


async def good(world: World, ctx: Context, sample: Sample, seed: int) -> Score:
    """Play the reference solution."""
    oracle = TASK.oracle(ctx, sample)
    episode = await world.episode(sample, {}, seed)
    try:
        observation = await episode.reset()
        while not observation.done:
            observation = await episode.step(Reply(await oracle.reply(observation)))
        score = await episode.score()
    finally:
        await episode.close()
    assert isinstance(score, Score)
    return score


async def hostile(world: World, sample: Sample, script: str, over: asyncio.Event) -> Score:
    """Run a hostile script, then another command, and stay until the good ones are through."""
    episode = await world.episode(sample, {}, 7)
    try:
        await episode.reset()
        observation = await episode.step(Reply(bash(script)))
        await over.wait()
        for text in (bash("echo still here"), "Act: finish"):
            if not observation.done:
                observation = await episode.step(Reply(text))
        score = await episode.score()
    finally:
        await episode.close()
    assert isinstance(score, Score)
    return score


async def beside(each: int, scripts: Sequence[str]) -> None:
    """Play good and hostile episodes, all at once; an infrastructure failure of either raises."""
    ctx = task_context(TASK, FIXTURE, command_s=3.0)
    try:
        async with TASK.world(ctx) as world:
            samples = list(samples_of(TASK, ctx, "std"))
            alone = {sample.id: await good(world, ctx, sample, 7) for sample in samples}
            assert {score.value for score in alone.values()} == {1}
            over = asyncio.Event()
            state = next(sample for sample in samples if sample.id == "4/state/0")
            async with asyncio.TaskGroup() as group:
                bad = [
                    group.create_task(hostile(world, state, script, over))
                    for script in islice(cycle(scripts), each)
                ]
                playing = [
                    (sample.id, group.create_task(good(world, ctx, sample, 7)))
                    for sample in islice(cycle(samples), each)
                ]
                await asyncio.wait([task for _, task in playing])
                over.set()
            assert {name: task.result() for name, task in playing} == alone
            assert {task.result().value for task in bad} == {0}
    except MissingPart as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


async def test_8_hostile_episodes_beside_8_good_ones() -> None:
    await beside(8, list(EXHAUSTING.values()))


@pytest.mark.full
@pytest.mark.timeout(900)
async def test_64_hostile_episodes_beside_64_good_ones() -> None:
    await beside(64, [*EXHAUSTING.values(), *HOSTILE.values()])
