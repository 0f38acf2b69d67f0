"""GSM8K on all 1,319 questions through HTTP: the oracle, and replayed answers in two styles."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from contexts import samples_of, task_context

from harness import seeds
from harness.models.api import LiveEpisodes
from harness.models.connect import open_model
from harness.running.activity import Activity
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.storage.store import Attempt
from harness.types import Context, Profile, Reply, Row, Score
from tasks.gsm8k.task import TASK

WIDTH = 64


async def played(ctx: Context, selector: str, width: int = WIDTH) -> list[Attempt]:
    """Play every question with a model that answers over HTTP on loopback."""
    live, gate = LiveEpisodes(), asyncio.Semaphore(width)
    async with open_model(selector, live=live, profile=ctx.profile) as model, TASK.world(ctx) as world:
        oracle = (lambda sample: TASK.oracle(ctx, sample)) if selector == "oracle" else None
        setup = TaskRun(TASK.spec, world, model, live, oracle=oracle)

        async def one(sample) -> Attempt:
            async with gate:
                return await run_episode(setup, sample, 0, Activity())

        return list(await asyncio.gather(*(one(sample) for sample in samples_of(TASK, ctx, "test"))))


def means(attempts: list[Attempt]) -> dict[str, float]:
    rows = [Row(a.sample, 0, a.outcome, a.value, a.metrics) for a in attempts if a.value is not None]
    assert len(rows) == 1319
    assert {attempt.outcome for attempt in attempts} == {"scored"}
    return {name: round(100 * value, 2) for name, value in TASK.aggregate(rows).items()}


@pytest.mark.parametrize(("profile", "headline"), [("paper", 99.85), ("fixed", 100.0)])
async def test_oracle(mirror: Path, profile: Profile, headline: float) -> None:
    ctx = task_context(TASK, mirror / "gsm8k", profile=profile)
    found = means(await played(ctx, "oracle"))
    assert (found["accuracy"], found["paper"], found["fixed"]) == (headline, 99.85, 100.0)


async def test_references_commas_and_all(mirror: Path, tmp_path: Path) -> None:
    ctx = task_context(TASK, mirror / "gsm8k")
    file = tmp_path / "commas.jsonl"
    with file.open("w") as lines:
        for sample in samples_of(TASK, ctx, "test"):
            reply = "The answer is " + sample.data["answer"].rpartition("#### ")[2]
            lines.write(json.dumps({"task": "gsm8k", "sample": sample.id, "replies": [reply]}) + "\n")
    found = means(await played(ctx, f"replay:{file}"))
    assert (found["paper"], found["fixed"]) == (98.79, 100.0)


async def test_order_concurrency_and_rescoring_change_nothing(mirror: Path, tmp_path: Path) -> None:
    """Answers of every style, right and wrong, from a replay file with one style per question."""
    ctx = task_context(TASK, mirror / "gsm8k")
    styles = (
        "The answer is {}",
        "{} apples, I say, for 2 days",
        "#### {}",
        "so\n{}.00\nQuestion: 1?",
        "nothing",
    )
    file = tmp_path / "styles.jsonl"
    samples = samples_of(TASK, ctx, "test")
    with file.open("w") as lines:
        for sample in samples:
            style = styles[seeds.derive(0, sample.id) % len(styles)]
            reply = style.format(sample.data["answer"].rpartition("#### ")[2])
            lines.write(json.dumps({"task": "gsm8k", "sample": sample.id, "replies": [reply]}) + "\n")
    one, many = await played(ctx, f"replay:{file}", 2), await played(ctx, f"replay:{file}", 128)
    assert means(one) == means(many)
    assert 10 < means(one)["paper"] < 90
    async with TASK.world(ctx) as world:
        for sample, attempt in zip(samples, many, strict=True):
            episode = await world.episode(sample, {}, 0)
            await episode.reset()
            await episode.step(Reply(attempt.calls[0].reply))
            scored = await episode.score()
            assert isinstance(scored, Score)
            assert (scored.value, scored.metrics) == (attempt.value, attempt.metrics)
