"""HotpotQA's episodes: prompts byte by byte, halting, hostile replies, options, recording."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fakes_web as fakes
import pytest
from contexts import samples_of
from web_play import context, fixture_of, play, sample, scripted

from harness.data import literals
from harness.errors import MissingPart
from tasks._shared.recorded import Answers
from tasks.hotpotqa.episode import INVALID
from tasks.hotpotqa.task import TASK

FIXTURE = fixture_of(TASK)
AT = "AgentTuning:eval_heldout/hotpotQA/src/"


async def test_every_call_shows_the_whole_transcript_byte_for_byte(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path)
    item = sample(TASK, ctx, "easy/002")
    question = str(item.data["question"])
    assert question != question.strip()
    texts = literals(FIXTURE / "prompts.json")
    base = texts[AT + "pre_prompt.py:REACT_INSTRUCTION"]
    base = base.replace("{examples}", texts[AT + "fewshots.py:REACT_EXAMPLE"]).replace("{question}", question)
    base = base.removesuffix("{scratchpad}")
    score, seen = await play(
        TASK,
        ctx,
        item,
        scripted(
            "  look it up \nAction 1: Search[x]",
            " Search[Pell Lighthouse]. I think",
            "\nempty first line",
            "Lookup[vray]",
            "hm",
            "lookup[vray]",
            "hm",
            "Finish[The Dorrin.]",
        ),
    )
    page = "Pell Lighthouse is a granite tower built in 1884. Its architect was Ansel Vray."
    steps = [
        "\nThought 1:",
        " look it up\nAction 1:",
        f" Search[Pell Lighthouse]. I think\nObservation 1: {page}\nThought 2:",
        " \nAction 2:",
        f" Lookup[vray]\nObservation 2: (Result 1/1) {page}\nThought 3:",
        " hm\nAction 3:",
        f" lookup[vray]\nObservation 3: {INVALID}\nThought 4:",
        " hm\nAction 4:",
    ]
    assert [observation.raw for observation in seen[:-1]] == [
        base + "".join(steps[: n + 1]) for n in range(len(steps))
    ]
    assert seen[-1].done
    assert seen[-1].info["result"] == "Answer is CORRECT"
    assert not any("CORRECT" in (observation.raw or "") for observation in seen)
    assert (score.value, score.outcome) == (1.0, None)
    assert {
        k: score.metrics[k] for k in ("em", "finished", "steps", "invalid_actions", "searches", "lookups")
    } == {
        "em": 1.0,
        "finished": 1.0,
        "steps": 4.0,
        "invalid_actions": 1.0,
        "searches": 1.0,
        "lookups": 1.0,
    }
    assert "wiki offline (22 pages" in score.note


@pytest.mark.parametrize(
    ("replies", "options", "calls", "outcome", "value"),
    [
        (("No response", "Search[x]"), {}, 2, "model_error", 0.0),
        (("hm", "No response"), {}, 2, "model_error", 0.0),
        (("No response", "Finish[The Dorrin]"), {}, 2, None, 1.0),
        ((" No response", "No response.", "hm", "Finish[The Dorrin]"), {}, 4, None, 1.0),
        (("No response", "No response", "hm", "Finish[The Dorrin]"), {"no_response": "text"}, 4, None, 1.0),
    ],
)
async def test_no_response_ends_the_episode_after_its_step(
    replies: tuple[str, ...],
    options: dict[str, str],
    calls: int,
    outcome: str | None,
    value: float,
    tmp_path: Path,
):
    ctx = context(TASK, FIXTURE, tmp_path, **options)
    score, seen = await play(TASK, ctx, sample(TASK, ctx, "easy/002"), scripted(*replies))
    assert (len(seen) - 1, score.outcome, score.value) == (calls, outcome, value)
    assert score.metrics["no_response"] == float(outcome == "model_error")
    assert (score.answer, score.target) == ("The Dorrin" if value else "", "Dorrin")


async def test_ten_steps_are_twenty_calls_and_then_the_limit(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path)
    score, seen = await play(TASK, ctx, samples_of(TASK, ctx, "test")[0], lambda observation: "")
    assert len(seen) == 21
    assert (score.value, score.outcome) == (0.0, "limit")
    assert score.metrics["step_limit"] == 1.0
    assert score.metrics["em"] == 0.0


async def test_a_full_context_halts_between_steps_only(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path)
    long = "word " * 2000
    score, seen = await play(TASK, ctx, samples_of(TASK, ctx, "test")[0], scripted(long, "Search[Merrow]"))
    assert len(seen) == 3
    assert score.outcome == "limit"
    assert score.metrics["context_limit"] == 1.0


async def test_a_prompt_that_starts_too_long_is_done_at_once(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path, max_context_tokens=20)
    score, seen = await play(TASK, ctx, samples_of(TASK, ctx, "test")[0], scripted())
    assert len(seen) == 1
    assert score.outcome == "limit"


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "x" * 65_536,
        "\0",
        "\ud800",
        "```\nFinish[x]\n```",
        "Search[\ud800]",
        "Search[\0]",
        "Finish[\ud800]",
    ],
)
async def test_hostile_replies_end_within_the_limit(tmp_path: Path, reply: str):
    ctx = context(TASK, FIXTURE, tmp_path)
    score, seen = await play(TASK, ctx, samples_of(TASK, ctx, "test")[0], lambda observation: reply)
    assert score.value == 0.0
    assert len(seen) <= 21


@pytest.mark.parametrize("agent", ["react", "zeroshot", "zeroshot_think", "planner", "planner_react"])
@pytest.mark.parametrize("chat", [False, True])
async def test_oracle_solves_the_fixture_with_every_agent(tmp_path: Path, agent: str, chat: bool):
    ctx = context(TASK, FIXTURE, tmp_path, agent=agent, chat=chat)
    for item in samples_of(TASK, ctx, "test"):
        score, seen = await play(TASK, ctx, item, TASK.oracle(ctx, item).reply)
        assert score.value == 1.0
        assert all((observation.raw is None) == chat for observation in seen[:-1])


async def test_planner_plans_first_and_keeps_its_plan(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path, agent="planner", prompt="bolaa")
    replies = scripted("Open Merrow.\nmore", "Search[Merrow]", "Finish[x]")
    _, seen = await play(TASK, ctx, samples_of(TASK, ctx, "test")[0], replies)
    prompts = [str(observation.raw) for observation in seen[:-1]]
    assert prompts[0].startswith("Answer the question: first say")
    assert prompts[0].endswith("\nPlan:")
    assert prompts[1].endswith("\nPlan: Open Merrow.\nAction 1:")


async def test_options_of_fixed_join_lines_and_lenient_reads_prose(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path, "fixed", parse="lenient", agent="zeroshot")
    replies = scripted("I will search [Merrow Town].", "finish[none]")
    score, seen = await play(TASK, ctx, samples_of(TASK, ctx, "test")[0], replies)
    assert "Observation 1: Merrow Town is the capital of Merrow. It has a covered market.\n" in str(
        seen[1].raw
    )
    assert score.metrics["invalid_actions"] == 0.0


async def test_observations_can_be_cut(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path, obs_max_tokens=5, agent="zeroshot")
    _, seen = await play(
        TASK, ctx, samples_of(TASK, ctx, "test")[0], scripted("Search[Merrow Town]", "Finish[x]")
    )
    shown = str(seen[1].raw).rsplit("Observation 1: ", 1)[1].split("\n")[0]
    assert shown == "Merrow Town is "


async def test_score_before_any_step(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path)
    async with TASK.world(ctx) as world:
        episode = await world.episode(samples_of(TASK, ctx, "test")[0], {}, 0)
        assert (await episode.score()).value == 0.0
        await episode.close()


async def test_interleaved_episodes_equal_lone_ones(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path)
    items = [*samples_of(TASK, ctx, "test")] * 2
    alone = [await play(TASK, ctx, item, TASK.oracle(ctx, item).reply) for item in items]
    together = await asyncio.gather(*(play(TASK, ctx, item, TASK.oracle(ctx, item).reply) for item in items))
    assert alone == together


async def test_record_a_run_once_and_replay_it_without_a_network(tmp_path: Path):
    wiki = fakes.FakeWiki(
        pages={"Merrow": "An island.\nSmall.\n\n\n== Past ==\nOld."}, redirects={"Isle of Merrow": "Merrow"}
    )
    replies = ("t", "Search[Isle of Merrow]", "t", "Lookup[old]", "t", "Search[Atlantis]", "t", "Finish[x]")
    options: dict[str, object] = {"snapshot": str(tmp_path / "wiki.sqlite"), "contact": "t@example.org"}
    async with fakes.serve_wiki(wiki):
        options |= {"wiki_endpoint": wiki.url, "web_rate": 9999.0}
        ctx = context(TASK, FIXTURE, tmp_path, wiki="record", **options)
        item = samples_of(TASK, ctx, "test")[0]
        first, seen = await play(TASK, ctx, item, scripted(*replies))
    ctx = context(TASK, FIXTURE, tmp_path, wiki="replay", **options)
    again, replayed = await play(TASK, ctx, item, scripted(*replies))
    assert [o.raw for o in replayed] == [o.raw for o in seen]
    shown = str(seen[-2].raw)
    assert "\nObservation 1: An island.Small.\n" in shown
    assert "\nObservation 2: (Result 1/1) == Past ==Old.\n" in shown
    assert "\nObservation 3: Could not find [Atlantis]. Similar: []\n" in shown
    assert first.note == "wiki record"
    assert re.fullmatch(r"wiki replay \(6 answers, sha256 [0-9a-f]{12}\)", again.note)
    assert again.metrics["snapshot_miss"] == 0.0


async def test_replaying_nothing_recorded_flags_the_episode(tmp_path: Path):
    path = tmp_path / "empty.sqlite"
    Answers("record", path).close()
    ctx = context(TASK, FIXTURE, tmp_path, wiki="replay", snapshot=str(path))
    replies = scripted("t", "Search[Merrow]", "t", "Lookup[x]", "t", "Finish[y]")
    score, seen = await play(TASK, ctx, samples_of(TASK, ctx, "test")[0], replies)
    assert "\nObservation 1: Could not find that page, please try again.\n" in str(seen[2].raw)
    assert score.metrics["snapshot_miss"] == 1.0
    assert "env_incomplete" in score.note


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"wiki": "replay", "snapshot": "/nowhere/x.sqlite"}, "x.sqlite"),
        ({"wiki": "record"}, "snapshot"),
        ({"wiki": "live"}, "HARNESS_CONTACT"),
    ],
)
async def test_what_a_backend_lacks_is_a_need(
    tmp_path: Path, options: Mapping[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("HARNESS_CONTACT", raising=False)
    needs = TASK.needs(context(TASK, FIXTURE, tmp_path, **options))
    missing = [f"{need.name} {found}: {need.fix}" for need in needs if (found := need.missing())]
    assert any(words in line for line in missing)


async def test_another_snapshot_than_the_pinned_one_is_refused(tmp_path: Path):
    path = tmp_path / "empty.sqlite"
    Answers("record", path).close()
    with pytest.raises(MissingPart, match="snapshot_sha256"):
        async with TASK.world(
            context(TASK, FIXTURE, tmp_path, wiki="replay", snapshot=str(path), snapshot_sha256="0" * 64)
        ):
            pass
