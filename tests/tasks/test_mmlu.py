"""MMLU's data, prompts and episodes, on the fixture and on the real data."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import pytest
from contexts import samples_of, task_context

from harness.data import literals, quiet
from harness.running.samples import Limit, select
from harness.types import Context, Profile, Reply
from tasks.mmlu import task
from tasks.mmlu.prepare import by_subject, prepare, write_rows
from tasks.mmlu.rows import LETTERS
from tasks.mmlu.task import TASK

FIXTURE = Path(task.__file__).parent / "fixture"
NONE_OPTIONS = [
    ("college_computer_science", 10, "A"),
    ("college_computer_science", 94, "A"),
    ("college_mathematics", 8, "A"),
    ("college_mathematics", 21, "A"),
    ("college_mathematics", 60, "A"),
    ("college_physics", 60, "D"),
    ("electrical_engineering", 41, "D"),
    ("electrical_engineering", 68, "D"),
    ("electrical_engineering", 107, "D"),
    ("electrical_engineering", 117, "D"),
]


def context(data: Path, profile: Profile = "paper", limit: int = 2048, answer: str = "rank") -> Context:
    return task_context(TASK, data, profile=profile, max_prompt_tokens=limit, answer=answer)


async def first(ctx: Context, sample_id: str):
    (sample,) = [s for s in samples_of(TASK, ctx, "test") if s.id == sample_id]
    async with TASK.world(ctx) as world:
        return await (await world.episode(sample, {}, 0)).reset()


def test_all_questions_with_stable_ids_in_subject_order(mirror: Path) -> None:
    ctx = context(mirror / "mmlu")
    samples = samples_of(TASK, ctx, "test")
    assert len(samples) == 14042
    assert len({s.id for s in samples}) == 14042
    assert samples[0].id == "test/abstract_algebra/0"
    assert samples[-1].id == "test/world_religions/170"
    groups = [s.labels["subject"] for s in samples]
    assert all(s.labels == TASK.old_labels(s.id, {}) and not s.cluster for s in samples)
    assert len(set(groups)) == 57
    assert groups == sorted(groups)
    counted = {letter: sum(s.data["answer"] == letter for s in samples) for letter in "ABCD"}
    assert counted == {"A": 3222, "B": 3462, "C": 3582, "D": 3776}


def test_a_limit_of_57_touches_57_subjects(mirror: Path) -> None:
    ctx = context(mirror / "mmlu")
    chosen = select(TASK.samples(ctx), None, Limit(57), "mmlu")
    assert len({sample.labels["subject"] for sample in chosen}) == len(chosen) == 57


@pytest.mark.parametrize(("subject", "row", "letter"), NONE_OPTIONS)
async def test_options_called_none_stay(mirror: Path, subject: str, row: int, letter: str) -> None:
    observation = await first(context(mirror / "mmlu"), f"test/{subject}/{row}")
    assert f"\n{letter}. None" in observation.messages[-1].content


async def test_paper_prompt(mirror: Path) -> None:
    from harness.templates import template

    ctx = context(mirror / "mmlu")
    observation = await first(ctx, "test/astronomy/3")
    texts = list(literals(mirror / "mmlu/prompts.json").values())
    assert observation.messages[0].content == texts[0] + "astronomy" + texts[1]
    assert [m.role for m in observation.messages] == ["system", *["user", "assistant"] * 5, "user"]
    assert all(m.content.startswith("Answer: ") for m in observation.messages[2::2])
    ask = observation.ask
    assert ask is not None
    assert (ask.choices, ask.prefix, ask.truncate) == ((" A", " B", " C", " D"), " Answer: ", None)
    sent = template("agentlm").render(observation.messages) + ask.prefix
    assert sent.startswith("[INST] <<SYS>>\n" + texts[0])
    assert sent.count("[INST]") == 6
    assert sent.endswith(" [/INST] Answer: ")


async def test_a_prompt_is_cut_by_the_server_only_where_it_may_be_too_long(mirror: Path) -> None:
    ctx = context(mirror / "mmlu")
    shared, cut = TASK.shared(ctx), set[str]()
    for sample in samples_of(TASK, ctx, "test"):
        asked = TASK.question(sample, shared)
        letters = sum(len(message.content) for message in asked.messages)
        assert asked.ask is not None
        assert asked.ask.truncate in (None, 2047)
        if asked.ask.truncate is None:
            assert letters < 2 * 2048
        else:
            cut.add(sample.data["subject"])
            assert letters > 3000  # at over three letters a token, none of fewer is near the limit
    assert {"high_school_us_history", "high_school_european_history", "professional_law"} <= cut
    assert "astronomy" not in cut


async def test_only_the_asked_question_loses_trailing_space(mirror: Path) -> None:
    ctx = context(mirror / "mmlu")
    padded = [s for s in samples_of(TASK, ctx, "test") if s.data["D"] != s.data["D"].rstrip()]
    assert padded
    observation = await first(ctx, padded[0].id)
    assert observation.messages[-1].content.endswith("D. " + padded[0].data["D"].rstrip())


async def test_fixed_drops_whole_exemplars_from_the_front() -> None:
    paper = await first(context(FIXTURE), "test/high_school_us_history/0")
    fixed = await first(context(FIXTURE, "fixed"), "test/high_school_us_history/0")
    assert len(paper.messages) == 12
    assert 2 < len(fixed.messages) < 12
    assert fixed.messages[0] == paper.messages[0]
    assert fixed.messages[1:] == paper.messages[-len(fixed.messages) + 1 :]
    assert fixed.ask is not None
    assert (fixed.ask.choices, fixed.ask.prefix, fixed.ask.truncate) == (LETTERS, " Answer:", None)
    none_left = await first(context(FIXTURE, "fixed", limit=64), "test/high_school_us_history/0")
    assert [m.role for m in none_left.messages] == ["system", "user"]


async def test_fixed_says_how_many_exemplars_it_showed(mirror: Path) -> None:
    ctx = context(mirror / "mmlu", "fixed")
    shots: list[float] = []
    longest = 0
    async with TASK.world(ctx) as world:
        for sample in samples_of(TASK, ctx, "test"):
            episode = await world.episode(sample, {}, 0)
            observation = await episode.reset()
            shots.append((await episode.score()).metrics["shots"])  # type: ignore[union-attr]
            if shots[-1]:
                longest = max(longest, sum(len(m.content) for m in observation.messages))
    assert longest <= 3 * 2048
    # All of two history subjects are among the shortened ones, as in upstream's left truncation.
    assert 425 <= sum(k < 5 for k in shots) <= 2500


@pytest.mark.parametrize("answer", ["rank", "generate"])
@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_oracle_reaches_the_ceiling_on_the_fixture(profile: Profile, answer: str) -> None:
    ctx = context(FIXTURE, profile, answer=answer)
    values: list[float] = []
    async with TASK.world(ctx) as world:
        for sample in samples_of(TASK, ctx, "test"):
            episode = await world.episode(sample, {}, 0)
            observation = await episode.reset()
            await episode.step(Reply(await TASK.oracle(ctx, sample).reply(observation)))
            values.append((await episode.score()).value)  # type: ignore[union-attr]
    assert len(values) == 24
    assert 100 * fmean(values) == TASK.spec.ceiling[profile, "fixture"]


@pytest.mark.parametrize(
    "text", ["", "\x00", "\ud800", "```A```", "A" * 10_000_000, "Ignore this. The answer is A"]
)
async def test_a_text_that_is_no_letter_is_a_wrong_answer(text: str) -> None:
    ctx = context(FIXTURE)
    async with TASK.world(ctx) as world:
        episode = await world.episode(samples_of(TASK, ctx, "test")[0], {}, 0)
        await episode.reset()
        await episode.step(Reply(text, method="F"))
        scored = await episode.score()
    assert (scored.value, scored.outcome) == (0.0, "model_error")  # type: ignore[union-attr]
    assert scored.metrics["mmlu_gen"] == 0.0  # type: ignore[union-attr]


async def test_the_method_is_named_in_the_result() -> None:
    ctx = context(FIXTURE)
    sample = samples_of(TASK, ctx, "test")[0]
    async with TASK.world(ctx) as world:
        episode = await world.episode(sample, {}, 0)
        await episode.reset()
        await episode.step(Reply(" B", choice=1, method="P"))
        scored = await episode.score()
    assert scored.note == "chose B; method P"
    assert scored.metrics["method_p"] == 1.0  # type: ignore[union-attr]
    assert "method_g" not in scored.metrics  # type: ignore[union-attr]
    assert "mmlu_gen" not in scored.metrics  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Answer: B", "B"),
        (" C.", "C"),
        ("**D**", "D"),
        ("Answer_A", "A"),
        ("ABCD", None),
        ("Because", None),
        ("", None),
        ("\ud800 (B)", "B"),
    ],
)
async def test_generated_answers_are_a_measure_of_their_own(text: str, letter: str | None) -> None:
    ctx = context(FIXTURE, answer="generate")
    sample = samples_of(TASK, ctx, "test")[0]
    async with TASK.world(ctx) as world:
        episode = await world.episode(sample, {}, 0)
        ask = (await episode.reset()).ask
        await episode.step(Reply(text))
        scored = await episode.score()
    assert ask is not None
    assert (ask.choices, ask.prefix, ask.max_new_tokens) == ((), "", 5)
    assert scored.note == f"chose {letter or 'nothing'}; method F"
    right = float(letter == sample.data["answer"])
    assert (scored.value, scored.metrics["mmlu_gen"]) == (right, right)  # type: ignore[union-attr]


def test_prepare_takes_a_checkout_and_the_hubs_rows(tmp_path: Path, mirror: Path) -> None:
    script = tmp_path / "eval_general/eval_mmlu_hf.py"
    script.parent.mkdir()
    script.write_text('def generate_few_shot_prompt(k):\n    prompt = f"about {k}. Choose."\n')
    (written,) = prepare(tmp_path, tmp_path / "out", quiet)
    assert list(literals(written).values()) == ["about ", ". Choose."]
    theirs = (mirror / "mmlu/data/dev/astronomy_dev.csv").read_bytes()
    prepared = prepare(mirror / "mmlu/data", tmp_path / "out", quiet)
    assert len(prepared) == 114
    assert (tmp_path / "out/data/dev/astronomy_dev.csv").read_bytes() == theirs
    rows = [{"question": "q", "subject": "s", "choices": ["1", "2,3", "None", '"4"'], "answer": 2}]
    path = write_rows(tmp_path, "test", "s", by_subject(rows)["s"])
    assert path.read_text() == 'q,1,"2,3",None,"""4""",C\n'
