"""GSM8K's prompt and episodes, on the fixture and on the real data."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from statistics import fmean

import pytest
from contexts import samples_of, task_context

from harness.authoring import write_jsonl
from harness.data import literals, quiet
from harness.types import Context, Profile, Reply
from tasks.gsm8k import task
from tasks.gsm8k.prepare import prepare
from tasks.gsm8k.task import TASK

FIXTURE = Path(task.__file__).parent / "fixture"
# Of the eight exemplars joined as in `opening`, taken from the construction written out below.
EXEMPLARS_SHA256 = "ac20b063aad3941ea9e35f462095b8d76aff498e31717342df9771a249183fa4"


def context(data: Path, profile: Profile = "paper") -> Context:
    return task_context(TASK, data, profile=profile)


def constructed(row: dict[str, str]) -> tuple[str, str]:
    """The specification's construction, written independently of the task's code."""
    lines = row["answer"].split("\n")
    number = lines.pop().removeprefix("#### ").replace(",", "")
    body = ""
    for line in lines:
        line = re.sub(r"<<[^>]*>>", "", line)
        body += "\n" + line + ("" if line[-1] == "." else ".")
    question = "Question: " + row["question"]
    answer = "Let's think step by step." + body + "\nThe answer is " + number
    return question.replace("\u2019", "'"), answer.replace("\u2019", "'")


async def first_prompt(ctx: Context, index: int = 0) -> list[tuple[str, str]]:
    sample = samples_of(TASK, ctx, "test")[index]
    async with TASK.world(ctx) as world:
        observation = await (await world.episode(sample, {}, 0)).reset()
    return [(message.role, message.content) for message in observation.messages]


async def test_prompt_follows_the_construction_for_all_exemplars(mirror: Path) -> None:
    data = mirror / "gsm8k"
    text = (data / "grade_school_math/data/train.jsonl").read_text()
    train = [json.loads(line) for line in text.splitlines()]
    shots = [constructed(train[row]) for row in (4997, 4280, 3996, 1344, 6011, 328, 3809, 2053)]
    turns = await first_prompt(context(data))
    pairs = [(turns[i][1], turns[i + 1][1]) for i in range(3, 19, 2)]
    assert pairs == shots
    joined = "\x1e".join(part for pair in pairs for part in pair)
    assert hashlib.sha256(joined.encode()).hexdigest() == EXEMPLARS_SHA256
    system, instruction, assent = literals(data / "prompts.json").values()
    assert turns[:3] == [("system", system), ("user", instruction), ("assistant", assent)]
    first = samples_of(TASK, context(data), "test")[0]
    assert turns[19:] == [("user", "\nQuestion: " + first.data["question"])]


async def test_rendered_prompt_has_ten_user_turns(mirror: Path) -> None:
    from harness.templates import template
    from harness.types import Message

    turns = await first_prompt(context(mirror / "gsm8k"))
    text = template("agentlm").render([Message(role, content) for role, content in turns])  # type: ignore[arg-type]
    assert text.count("[INST]") == 10
    # The instruction ends in a space of its own, the template adds another.
    assert "question.  [/INST] Ok. </s><s>[INST] Question: " in text
    assert "[INST] \nQuestion: " in text


async def test_fixture_exemplars_are_eight_different_rows() -> None:
    turns = await first_prompt(context(FIXTURE))
    shown = [text for role, text in turns[3:19] if role == "user"]
    assert len(set(shown)) == 8
    assert not any("no exemplar shows" in text for text in shown)


@pytest.mark.parametrize("profile", ["paper", "fixed"])
@pytest.mark.parametrize("source", ["fixture", "mirror"])
async def test_oracle_reaches_the_ceiling(request, profile: Profile, source: str) -> None:
    data = FIXTURE if source == "fixture" else request.getfixturevalue("mirror") / "gsm8k"
    ctx = context(data, profile)
    values: list[float] = []
    async with TASK.world(ctx) as world:
        for sample in samples_of(TASK, ctx, "test"):
            played = await world.episode(sample, {}, 0)
            observation = await played.reset()
            done = await played.step(Reply(await TASK.oracle(ctx, sample).reply(observation)))
            assert done.done
            values.append((await played.score()).value)
            await played.close()
    assert 100 * fmean(values) == pytest.approx(TASK.spec.ceiling[profile, source])


async def test_only_the_fixed_profile_sends_a_stop_string_and_both_are_greedy() -> None:
    for profile, stop in (("paper", ()), ("fixed", ("Question:",))):
        ctx = context(FIXTURE, profile)
        async with TASK.world(ctx) as world:
            observation = await (await world.episode(samples_of(TASK, ctx, "test")[0], {}, 0)).reset()
        assert observation.ask is not None
        assert (observation.ask.stop, observation.ask.max_new_tokens) == (stop, 512)
        assert observation.ask.temperature is None


@pytest.mark.parametrize(
    "text", ["", "\x00", "\ud800 12", "```\n12\n```", "7" * 10_000_000, "1," * 1_000_000]
)
async def test_no_reply_raises(text: str) -> None:
    ctx = context(FIXTURE)
    async with TASK.world(ctx) as world:
        played = await world.episode(samples_of(TASK, ctx, "test")[0], {}, 0)
        await played.reset()
        await played.step(Reply(text))
        scored = await played.score()
    assert scored.value == 0.0
    assert set(scored.metrics) == {"paper", "fixed", "lm_eval_strict", "lm_eval_flexible"}


def test_rows_are_written_as_upstream_has_them(mirror: Path, tmp_path: Path) -> None:
    upstream = mirror / "gsm8k/grade_school_math/data/test.jsonl"
    rows = [json.loads(line) for line in upstream.read_text().splitlines()]
    assert write_jsonl(tmp_path / "test.jsonl", rows).read_bytes() == upstream.read_bytes()


def test_prepare_reads_the_prompt_out_of_a_checkout(tmp_path: Path) -> None:
    script = tmp_path / "eval_general/eval_gsm8k_tgi.py"
    script.parent.mkdir()
    script.write_text('def doc_to_text(doc):\n    conv("t")\n    conv("S")\n    conv("I ")\n    conv("A")\n')
    (written,) = prepare(tmp_path, tmp_path / "out", quiet)
    assert list(literals(written).values()) == ["S", "I ", "A"]
