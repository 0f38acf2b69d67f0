"""MMLU on all 14,042 questions through HTTP: the oracle, and a model that always says A."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from contexts import samples_of, task_context
from loopback_server import serving

from harness.models.api import LiveEpisodes
from harness.models.connect import open_model
from harness.running.activity import Activity
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.storage.store import Attempt
from harness.types import Context, Profile, Reply, Row, Sample, Score
from tasks.mmlu.subjects import SUBJECTS
from tasks.mmlu.task import TASK


async def played(ctx: Context, selector: str, samples: list[Sample]) -> list[Attempt]:
    """Play questions in order, 64 at a time, with a model that answers over HTTP on loopback."""
    live, queue = LiveEpisodes(), iter(samples)
    done: list[Attempt] = []
    async with open_model(selector, live=live, profile=ctx.profile) as model, TASK.world(ctx) as world:
        oracle = (lambda sample: TASK.oracle(ctx, sample)) if selector == "oracle" else None
        setup = TaskRun(TASK.spec, world, model, live, oracle=oracle)

        async def work() -> None:
            for sample in queue:
                done.append(await run_episode(setup, sample, 0, Activity()))

        await asyncio.gather(*(work() for _ in range(64)))
    return done


def numbers(attempts: list[Attempt]) -> dict[str, float]:
    assert {attempt.outcome for attempt in attempts} == {"scored"}
    rows = [Row(a.sample, 0, a.outcome, a.value or 0.0, a.metrics, a.labels) for a in attempts]
    return dict(TASK.aggregate(rows))


def context(mirror: Path, profile: Profile = "paper") -> Context:
    return task_context(TASK, mirror / "mmlu", profile=profile)


def always_a(file: Path, samples: list[Sample]) -> str:
    lines = [json.dumps({"task": "mmlu", "sample": sample.id, "replies": ["A"]}) for sample in samples]
    file.write_text("\n".join(lines) + "\n")
    return f"replay:{file}"


def two_each(samples: list[Sample]) -> list[Sample]:
    return [sample for sample in samples if int(sample.id.rpartition("/")[2]) < 2]


@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_oracle_on_two_questions_of_every_subject(mirror: Path, profile: Profile) -> None:
    ctx = context(mirror, profile)
    result = numbers(await played(ctx, "oracle", two_each(list(samples_of(TASK, ctx, "test")))))
    assert (result["accuracy"], result["macro"], result["subjects"]) == (1.0, 1.0, 57)
    assert result["method_g"] == 1.0


async def test_a_letter_in_a_replay_file_is_a_choice(mirror: Path, tmp_path: Path) -> None:
    ctx = context(mirror)
    samples = two_each(list(samples_of(TASK, ctx, "test")))
    result = numbers(await played(ctx, always_a(tmp_path / "a.jsonl", samples), samples))
    assert result["accuracy"] == sum(s.data["answer"] == "A" for s in samples) / len(samples)


async def test_order_and_rescoring_change_nothing(mirror: Path, tmp_path: Path) -> None:
    ctx = context(mirror)
    samples = two_each(list(samples_of(TASK, ctx, "test")))
    file = tmp_path / "letters.jsonl"
    with file.open("w") as lines:
        for index, sample in enumerate(samples):
            line = {"task": "mmlu", "sample": sample.id, "replies": ["ABCD"[index % 4]]}
            lines.write(json.dumps(line) + "\n")
    forth = await played(ctx, f"replay:{file}", samples)
    back = await played(ctx, f"replay:{file}", samples[::-1])
    assert numbers(forth) == numbers(back)
    by_id = {sample.id: sample for sample in samples}
    async with TASK.world(ctx) as world:
        for attempt in forth:
            (call,) = attempt.calls
            episode = await world.episode(by_id[attempt.sample], {}, 0)
            await episode.reset()
            letter = call.facts["choice"]
            assert isinstance(letter, int)
            await episode.step(Reply("", choice=letter, method=str(call.facts["method"])))
            scored = await episode.score()
            assert isinstance(scored, Score)
            assert (scored.value, scored.metrics, scored.note) == (
                attempt.value,
                attempt.metrics,
                attempt.note,
            )


async def test_questions_that_wait_for_the_method_go_on_side_by_side(mirror: Path) -> None:
    """After the first answer has shown the method, nothing keeps requests from running together."""
    together, met, first = 8, asyncio.Event(), True
    held: list[web.Request] = []

    async def generate(request: web.Request) -> web.Response:
        nonlocal first
        if not first:
            held.append(request)
            if len(held) == together:
                met.set()
            async with asyncio.timeout(30):
                await met.wait()
        first = False
        top = [
            {"id": n, "text": f" {c}", "logprob": -1.0 - n, "special": False} for n, c in enumerate("ABCD")
        ]
        details = {
            "finish_reason": "length",
            "generated_tokens": 1,
            "seed": None,
            "prefill": [],
            "tokens": [],
        }
        return web.json_response({"generated_text": " A", "details": details | {"top_tokens": [top]}})

    async def info(_: web.Request) -> web.Response:
        known = {"model_id": "THUDM/agentlm-7b", "version": "3.3.5", "max_concurrent_requests": 128}
        return web.json_response(known)

    app = web.Application()
    app.router.add_post("/generate", generate)
    app.router.add_get("/info", info)
    ctx = context(mirror)
    samples = list(samples_of(TASK, ctx, "test"))[: together + 1]
    async with (
        serving(app) as url,
        open_model("agentlm-7b", endpoints=[url]) as model,
        TASK.world(ctx) as world,
    ):
        setup = TaskRun(TASK.spec, world, model, LiveEpisodes())
        done = await asyncio.gather(*(run_episode(setup, sample, 0, Activity()) for sample in samples))
    assert met.is_set()
    assert [attempt.note for attempt in done] == ["chose A; method G"] * len(samples)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("profile", "step"),
    [
        ("paper", 50),
        ("fixed", 50),
        pytest.param("paper", 1, marks=pytest.mark.slow),
        pytest.param("fixed", 1, marks=pytest.mark.full),
    ],
)
async def test_oracle_on_everything(mirror: Path, profile: Profile, step: int) -> None:
    """On every fiftieth question in the quick run, which leaves some of every subject."""
    ctx = context(mirror, profile)
    samples = list(samples_of(TASK, ctx, "test"))
    assert len(samples) == 14042
    result = numbers(await played(ctx, "oracle", samples[::step]))
    assert (result["accuracy"], result["macro"], result["subjects"]) == (1.0, 1.0, 57)


@pytest.mark.full
@pytest.mark.timeout(900)
async def test_always_a_scores_the_share_of_a(mirror: Path, tmp_path: Path) -> None:
    ctx = context(mirror)
    samples = list(samples_of(TASK, ctx, "test"))
    result = numbers(await played(ctx, always_a(tmp_path / "a.jsonl", samples), samples))
    assert result["accuracy"] == 3222 / 14042
    by_subject = {
        subject: [s.data["answer"] == "A" for s in samples if s.labels["subject"] == subject]
        for subject in SUBJECTS
    }
    assert result["macro"] == pytest.approx(sum(sum(v) / len(v) for v in by_subject.values()) / 57)
