"""MT-Bench's data, episodes, judge questions and files in FastChat's form."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from contexts import samples_of, task_context

from harness.data import literals, quiet
from harness.errors import DataError
from harness.types import Context, Pending, Profile, Reply, Score, Verdict
from tasks.mt_bench import rows
from tasks.mt_bench.prepare import prepare
from tasks.mt_bench.task import TASK

FIXTURE = Path(rows.__file__).parent / "fixture"


def context(data: Path, profile: Profile = "paper", **options: Any) -> Context:
    return task_context(TASK, data, profile=profile, **options)


async def played(ctx: Context, sample, replies: tuple[str, ...] | None = None) -> Score | Pending:
    """Play one sample to its end, with the oracle unless replies are given."""
    oracle = TASK.oracle(ctx, sample)
    async with TASK.world(ctx) as world:
        episode = await world.episode(sample, {}, 0)
        observation = await episode.reset()
        for text in replies if replies is not None else (None, None):
            observation = await episode.step(Reply(await oracle.reply(observation) if text is None else text))
        return await episode.score()


async def test_80_questions_ask_160_times_by_template(mirror: Path) -> None:
    ctx = context(mirror / "mt_bench")
    samples = samples_of(TASK, ctx, "test")
    assert [s.id for s in samples] == [str(n) for n in range(81, 161)]
    templates: Counter[str] = Counter()
    for sample in samples:
        pending = await played(ctx, sample)
        assert isinstance(pending, Pending)
        templates.update(item.info["template"] for item in pending.items)
        for item in pending.items:
            assert item.ask.temperature is None
            assert item.ask.max_new_tokens == 2048
            assert [m.role for m in item.messages] == ["system", "user"]
            assert not re.search(r"\{(question|answer|ref_answer)(_\d)?\}", item.messages[1].content)
    assert templates == {
        "single-v1": 50,
        "single-math-v1": 30,
        "single-v1-multi-turn": 50,
        "single-math-v1-multi-turn": 30,
    }


async def test_judge_sees_both_turns_and_references(mirror: Path) -> None:
    ctx = context(mirror / "mt_bench")
    sample = next(s for s in samples_of(TASK, ctx, "test") if s.id == "112")
    pending = await played(ctx, sample, ("first {answer}", "second"))
    assert isinstance(pending, Pending)
    first, second = (item.messages[1].content for item in pending.items)
    question = sample.data["question"]
    assert question.turns[0] in first and question.turns[1] not in first
    assert question.references[0] in first and "first {answer}" in first
    for part in (*question.turns, *question.references, "first {answer}", "second"):
        assert part in second


async def test_conversation_and_decoding_by_category(mirror: Path) -> None:
    ctx = context(mirror / "mt_bench")
    temperatures: dict[str, float | None] = {}
    async with TASK.world(ctx) as world:
        for sample in samples_of(TASK, ctx, "test"):
            episode = await world.episode(sample, {}, 0)
            first = await episode.reset()
            second = await episode.step(Reply("  an answer \n"))
            last = await episode.step(Reply("another"))
            assert first.ask is not None and second.ask == first.ask
            assert first.ask.max_new_tokens == 4096
            assert second.said == "an answer"
            assert [m.role for m in (*first.messages, *second.messages)] == ["system", "user", "user"]
            assert last.done
            temperatures[sample.data["question"].category] = first.ask.temperature
    assert temperatures == {
        "writing": 0.7,
        "roleplay": 0.7,
        "reasoning": None,
        "math": None,
        "coding": None,
        "extraction": None,
        "stem": 0.1,
        "humanities": 0.1,
    }
    fixed = context(mirror / "mt_bench", "fixed")
    assert fixed.options.max_new_tokens == 1024


async def test_an_answer_that_is_missing_is_not_judged() -> None:
    ctx = context(FIXTURE)
    sample = samples_of(TASK, ctx, "test")[0]
    none, one = await played(ctx, sample, ()), await played(ctx, sample, ("only this",))
    assert isinstance(none, Score) and none.metrics["judged"] == 0
    assert isinstance(one, Pending) and [item.key for item in one.items] == ["turn-1"]
    resolved = TASK.resolve(ctx, one, [Verdict("turn-1", 0, "[[6]]")])
    assert (resolved.value, resolved.metrics["missing"]) == (6.0, 1.0)


def test_reference_sets(mirror: Path, tmp_path: Path) -> None:
    def by_id(references: str) -> dict[int, rows.Question]:
        return {q.id: q for q in rows.questions(mirror / "mt_bench", references)}

    theirs, corrected = by_id("fastchat"), by_id("inflection")
    assert [n for n in theirs if theirs[n].turns != corrected[n].turns] == [101, 107, 113, 130]
    assert all(bool(q.references) == (q.category in rows.REFERENCED) for q in corrected.values())
    assert corrected[113].references[0] == "19%"
    # Inflection's file has no reference for this one: FastChat's stays.
    assert corrected[123].references == theirs[123].references
    own = tmp_path / "own.jsonl"
    own.write_text(json.dumps({"question_id": 111, "reference": ["one", "two"]}) + "\n")
    assert by_id(str(own))[111].references == ("one", "two")
    assert by_id(str(own))[112] == theirs[112]
    with pytest.raises(DataError, match="absent"):
        by_id(str(tmp_path / "absent.jsonl"))
    own.write_text(json.dumps({"question_id": 111, "reference": ["one"]}) + "\n")
    with pytest.raises(DataError, match="111"):
        by_id(str(own))


def test_prepare_reads_the_system_text_out_of_a_checkout(tmp_path: Path) -> None:
    script = tmp_path / "eval_general/eval_mt_bench_tgi.py"
    script.parent.mkdir()
    script.write_text('def query_model(x):\n    conv("llama")\n    conv("Be kind.")\n')
    (written,) = prepare(tmp_path, tmp_path / "out", quiet)
    assert list(literals(written).values()) == ["Be kind."]
