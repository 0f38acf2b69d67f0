"""ALFWorld at length: all 70 games of the mirror, 64 at once, and the memory of a worker over 200 games."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from contexts import samples_of, task_context

from harness.types import Context, Reply, Sample
from harness.worker import Launch, Worker
from tasks.alfworld import rows
from tasks.alfworld.task import GAMES, LOGIC, TASK
from tasks.alfworld.world import SLOTS

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]
GOLDEN = Path(__file__).with_name("alfworld_golden.json")
"""sha256 over everything the oracle is shown in a game, from the task's turn on, by sample id."""


def context(mirror: Path, work: Path) -> Context:
    return task_context(TASK, mirror / "alfworld", work)


async def transcript(ctx: Context, world: object, sample: Sample) -> tuple[float, str]:
    """Play with the oracle; returns the value and the hash of what was shown."""
    episode = await world.episode(sample, {}, 0)  # type: ignore[attr-defined]
    try:
        observation = await episode.reset()
        oracle, shown = TASK.oracle(ctx, sample), [observation.messages[-1].content]
        while not observation.done:
            observation = await episode.step(Reply(await oracle.reply(observation)))
            shown += [message.content for message in observation.messages]
        score = await episode.score()
    finally:
        await episode.close()
    return score.value, hashlib.sha256("\x1e".join(shown).encode()).hexdigest()


async def test_all_70_games_are_won_with_the_golden_words_64_at_once(mirror: Path, tmp_path: Path) -> None:
    ctx = context(mirror, tmp_path)
    samples = [*samples_of(TASK, ctx, "std"), *samples_of(TASK, ctx, "dev")]
    gate = asyncio.Semaphore(64)

    async def one(sample: Sample) -> tuple[float, str]:
        async with gate:
            return await transcript(ctx, world, sample)

    async with TASK.world(ctx) as world:
        results = await asyncio.gather(*map(one, samples))
    assert [value for value, _ in results] == [1.0] * 70
    found = {sample.id: digest for sample, (_, digest) in zip(samples, results, strict=True)}
    assert found == json.loads(GOLDEN.read_text())


async def test_a_workers_memory_is_flat_from_game_100_to_200(mirror: Path, tmp_path: Path) -> None:
    slots = SLOTS
    ctx = context(mirror, tmp_path)
    old = rows.read_logic(ctx.data / LOGIC)
    played = [*samples_of(TASK, ctx, "std"), *samples_of(TASK, ctx, "dev")]
    paths = [ctx.data / GAMES / sample.data["path"] for sample in played]
    worker = Worker(Launch("tasks.alfworld.engine", env={"TMPDIR": str(tmp_path)}))
    await worker.start()
    peaks = [0.0] * 2
    try:
        for n in range(200):
            one = rows.legacy(rows.read(paths[n % 70]), old)
            logic = one.logic
            await worker.call("open", n % slots, logic.domain, logic.grammar, one.problem, False, timeout=300)
            for command in one.walkthrough:
                _, _, won = await worker.call("step", n % slots, command, timeout=300)
            assert won
            if n % 100 >= 80:
                peaks[n // 100] = max(peaks[n // 100], worker.rss_mb())
    finally:
        await worker.close()
    assert max(peaks) <= 100 + 6 * slots, peaks
    assert peaks[1] <= peaks[0] * 1.05, peaks
