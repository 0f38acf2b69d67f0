"""MT-Bench from question to number: answers over HTTP, a store, a scripted judge over HTTP."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from aiohttp import web
from contexts import samples_of, task_context
from loopback_server import judging

from harness.models.api import LiveEpisodes
from harness.models.connect import open_model
from harness.running.activity import Activity
from harness.running.judge_values import judge_run
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.running.verdicts import Judge
from harness.storage.store import Store
from harness.types import Context, Pending, Profile, Reply, Sample, Verdict
from tasks.mt_bench.task import TASK


def rating(question: int) -> int:
    return 1 + question % 10


@dataclass
class ScriptedJudge:
    """Rates by question id; says nothing useful about the ids in `mute`."""

    mute: frozenset[int] = frozenset()
    prompts: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.prompts.append(body["messages"][-1]["content"])
        question = int(request.headers["X-Harness-Sample"])
        said = (
            "I cannot say." if question in self.mute else f"Step [3] is fine. Rating: [[{rating(question)}]]"
        )
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]})


def context(mirror: Path, profile: Profile = "paper", **options: Any) -> Context:
    return task_context(TASK, mirror / "mt_bench", profile=profile, **options)


async def answered(ctx: Context, store: Store, samples: Sequence[Sample], width: int) -> None:
    """Play the oracle through its HTTP server and store every attempt."""
    live, gate = LiveEpisodes(), asyncio.Semaphore(width)
    async with open_model("oracle", live=live) as model, TASK.world(ctx) as world:
        setup = TaskRun(TASK.spec, world, model, live, oracle=lambda sample: TASK.oracle(ctx, sample))

        async def one(sample: Sample) -> None:
            async with gate:
                store.add(await run_episode(setup, sample, 0, Activity()))

        await asyncio.gather(*(one(sample) for sample in samples))


async def judged(ctx: Context, store: Store, script: ScriptedJudge, *, width: int = 16, k: int = 1):
    async with judging(script.handle) as chat:
        return await judge_run(store, {"mt_bench": (TASK, ctx)}, Judge("scripted", chat, k, width))


def numbers(store: Store) -> dict[str, float]:
    rows = [attempt.row() for attempt in store.attempts(final_only=True)]
    return dict(TASK.aggregate(sorted(rows, key=lambda row: row.sample)))


async def test_160_calls_give_the_known_mean(mirror: Path, tmp_path: Path) -> None:
    ctx, store, script = context(mirror), Store(tmp_path / "run.sqlite"), ScriptedJudge()
    await answered(ctx, store, samples_of(TASK, ctx, "test"), 16)
    waiting = [attempt for attempt in store.attempts() if attempt.value is None]
    assert len(waiting) == 80
    assert {attempt.outcome for attempt in waiting} == {"scored"}
    done = await judged(ctx, store, script)
    assert (done.tally.asked, done.resolved, done.waiting) == (160, 80, 0)
    assert len(script.prompts) == 160
    result = numbers(store)
    expected = fmean(rating(n) for n in range(81, 161))
    assert result["mt_bench"] == pytest.approx(expected) == pytest.approx(5.5)
    assert (result["judged"], result["unparsed"], result["missing"]) == (160, 0, 0)
    assert result["category/writing"] == pytest.approx(fmean(rating(n) for n in range(81, 91)))
    assert result["paper"] == result["fixed"] == result["mt_bench"]
    store.close()


async def test_unparsed_verdicts_are_averaged_under_no_profile(mirror: Path, tmp_path: Path) -> None:
    mute = frozenset({90, 100, 155})
    expected = fmean(rating(n) for n in range(81, 161) if n not in mute)
    for profile, calls in (("paper", 160), ("fixed", 166)):
        ctx, store = context(mirror, profile), Store(tmp_path / f"{profile}.sqlite")
        await answered(ctx, store, samples_of(TASK, ctx, "test"), 16)
        script = ScriptedJudge(mute)
        await judged(ctx, store, script)
        assert len(script.prompts) == calls  # the strict profile asks once more
        result = numbers(store)
        assert (result["judged"], result["unparsed"]) == (154, 6)
        assert result["turn_1"] == pytest.approx(expected)
        # A partial headline needs the user's word under `fixed`.
        assert result.get("mt_bench") == (pytest.approx(expected) if profile == "paper" else None)
        store.close()


async def test_order_and_concurrency_change_nothing(mirror: Path, tmp_path: Path) -> None:
    found = []
    for width, backwards in ((1, False), (40, True)):
        ctx, store = context(mirror), Store(tmp_path / f"{width}.sqlite")
        samples = list(samples_of(TASK, ctx, "test"))[::4]
        await answered(ctx, store, samples[::-1] if backwards else samples, width)
        await judged(ctx, store, ScriptedJudge(), width=width)
        prompts = {a.item.sample: [i.messages[1].content for i in a.pending.items] for a in store.attempts()}  # type: ignore[union-attr]
        found.append((numbers(store), prompts))
        store.close()
    assert found[0] == found[1]


async def test_rescoring_the_stored_transcript_gives_the_live_score(mirror: Path, tmp_path: Path) -> None:
    ctx, store = context(mirror), Store(tmp_path / "run.sqlite")
    samples = {sample.id: sample for sample in list(samples_of(TASK, ctx, "test"))[::7]}
    await answered(ctx, store, list(samples.values()), 8)
    await judged(ctx, store, ScriptedJudge(), k=2)
    async with TASK.world(ctx) as world:
        for attempt in store.attempts(final_only=True):
            episode = await world.episode(samples[attempt.item.sample], {}, 0)
            await episode.reset()
            for call in store.calls(attempt.id):
                await episode.step(Reply(call.reply))
            pending = await episode.score()
            assert isinstance(pending, Pending) and pending == attempt.pending
            verdicts = [
                Verdict(key, k, text) for (key, k), text in store.verdicts(attempt.id, "scripted").items()
            ]
            again = TASK.resolve(ctx, pending, verdicts)
            assert (again.value, dict(again.metrics)) == (attempt.value, dict(attempt.metrics))
    store.close()


async def test_a_judge_sees_every_answer_in_its_template(mirror: Path, tmp_path: Path) -> None:
    ctx, store, script = context(mirror), Store(tmp_path / "run.sqlite"), ScriptedJudge()
    await answered(ctx, store, samples_of(TASK, ctx, "test"), 16)
    await judged(ctx, store, script)
    kinds = Counter(
        ("multi" if "Conversation with User" in prompt else "single", bool(re.search("Reference", prompt)))
        for prompt in script.prompts
    )
    assert kinds == {("single", False): 50, ("single", True): 30, ("multi", False): 50, ("multi", True): 30}
    store.close()
