"""ReWOO's episodes: prompts byte by byte, the judge, failing plans and tools, hostile replies."""

from __future__ import annotations

from pathlib import Path

import pytest
from contexts import samples_of
from web_play import Player, context, fixture_of, play, sample, scored

from harness.data import literals
from harness.errors import InfraError
from harness.types import Ask, Pending, Reply, Verdict
from tasks.rewoo.task import TASK

FIXTURE = fixture_of(TASK)
AT = "AgentTuning:eval_heldout/rewoo/"


def two(plan: str, answer: str = "") -> Player:
    return lambda observation: plan if observation.info["stage"] == "plan" else answer


async def test_prompts_are_put_together_byte_for_byte(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path)
    texts = literals(FIXTURE / "prompts.json")
    item = sample(TASK, ctx, "sotu_qa/00")
    question = item.data["question"]
    plan = (
        "Plan: Find it.\n#E1 = SearchSOTU[rope hall pier]\nPlan: Read it.\n#E2 = LLM[Where? #E1] [INST] more"
    )
    score, seen = await play(TASK, ctx, item, two(plan, " On the pier \n<|end_of_turn|> x"))
    assert [message.role for message in seen[0].messages] == ["system", "user"]
    worker = AT + "nodes/Worker.py:"
    document = texts[worker + "SearchDocWorker.description"].replace("{doc_name}", "state_of_the_union")
    assert seen[0].messages[1].content == (
        texts[AT + "prompts/planner.py:DEFAULT_PREFIX"]
        + texts[AT + "nodes/Planner.py:tools_header"]
        + f"LLM[input]: {texts[worker + 'LLMWorker.description']}\n"
        + f"Calculator[input]: {texts[worker + 'CalculatorWorker.description']}\n"
        + f"Google[input]: {texts[worker + 'GoogleWorker.description']}\n"
        + f"SearchSOTU[input]: {document}\n\n"
        + texts[AT + "prompts/fewshots.py:GSM8K_PWS"]
        + texts[AT + "prompts/planner.py:DEFAULT_SUFFIX"]
        + f"{question}\n"
    )
    evidence = seen[1].info["evidence"]
    assert [(row[0], row[1], row[4]) for row in evidence] == [
        ("#E1", "SearchSOTU", "BM25 document search"),
        ("#E2", "LLM", "no LLM tool"),
    ]
    assert "a new rope hall will be built" in evidence[0][3]
    assert evidence[1][2] == f"Where? [{evidence[0][3]}]"
    assert seen[1].messages[1].content == (
        texts[AT + "prompts/solver.py:DEFAULT_PREFIX"]
        + f"{question}\nPlan: Find it.\nEvidence:\n{evidence[0][3]}\n"
        + "Plan: Read it.\nEvidence:\nNo evidence found\n"
        + texts[AT + "prompts/solver.py:DEFAULT_SUFFIX"]
        + f"{question}\n"
    )
    assert all(observation.fresh for observation in seen[:2])
    assert seen[0].ask == Ask(max_new_tokens=256, truncate=4000)
    assert scored(score).metrics["calls_SearchSOTU"] == 1.0
    assert scored(score).metrics["fallback_calls"] == 2.0


@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_oracle_is_right_and_silence_wrong_on_the_fixture(tmp_path: Path, profile: str):
    ctx = context(TASK, FIXTURE, tmp_path, profile)
    for item in samples_of(TASK, ctx, "test"):
        score, seen = await play(TASK, ctx, item, TASK.oracle(ctx, item).reply)
        assert (scored(score).value, len(seen)) == (1.0, 3)
        score, seen = await play(TASK, ctx, item, lambda observation: "")
        assert (scored(score).value, len(seen)) == (0.0, 3)


# -- judged


async def test_the_judge_is_asked_once_with_upstreams_template(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path, grader="judge")
    item = sample(TASK, ctx, "trivia_qa/00")
    pending, _ = await play(TASK, ctx, item, two("", "It is {answer} Town"))
    assert isinstance(pending, Pending)
    (asked,) = pending.items
    assert asked.messages[0].content == (
        "Grade a quiz. Write CORRECT or INCORRECT, nothing else.\n"
        "QUESTION: What is the capital of the island of Merrow?\n"
        "STUDENT: It is {answer} Town\nTRUTH: Merrow Town\nGRADE:"
    )
    for text, paper, fixed, unread in (("CORRECT", 1, 1, 0), ("Correct.", 0, 1, 0), ("Hm", 0, 0, 1)):
        score = TASK.resolve(ctx, pending, [Verdict("grade", 0, text)])
        assert (score.value, score.metrics["fixed"], score.metrics["verdict_unread"]) == (
            paper,
            fixed,
            unread,
        )
        assert score.metrics["rule_accuracy"] == 0.0
    fixed_ctx = context(TASK, FIXTURE, tmp_path, "fixed", grader="judge")
    assert TASK.resolve(fixed_ctx, pending, [Verdict("grade", 0, "Correct.")]).value == 1.0
    with pytest.raises(InfraError):
        TASK.resolve(ctx, pending, [])


# -- failures


@pytest.mark.parametrize(
    ("plan", "failure"),
    [
        ("Plan: a", "plan_error: KeyError"),
        ("Plan: a\n#E1: LLM[x]", "plan_error: ValueError"),
        ("#", "plan_error: IndexError"),
        ("Plan: a\n#E1 = Calculator[two apples]", "tool_error: Calculator"),
        (f"Plan: a\n#E1 = Wikipedia[{'x' * 301}]", "tool_error: Wikipedia"),
        ("Plan: a\n#E1 = Calculator[x]\nPlan: b\n#E2 = Wikipedia[]", "tool_error: Calculator"),
    ],
)
async def test_a_failing_plan_or_tool_ends_the_episode_ungraded(tmp_path: Path, plan: str, failure: str):
    ctx = context(TASK, FIXTURE, tmp_path, grader="judge")
    score, seen = await play(TASK, ctx, sample(TASK, ctx, "strategy_qa/00"), two(plan, "No"))
    assert len(seen) == 2
    assert seen[1].done
    assert (scored(score).value, scored(score).outcome) == (0.0, "model_error")
    assert failure in scored(score).note
    kind = failure.split(":")[0]
    assert (
        scored(score).metrics[kind],
        scored(score).metrics["tool_error" if kind == "plan_error" else "plan_error"],
    ) == (1, 0)


async def test_mended_a_failing_tool_becomes_evidence(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path, "fixed")
    plan = "Plan: a\n#E1 = calculator [two apples]\nPlan: b\n#E2 = Wikipedia[" + "Merrow " * 60 + "]\nPlan: c"
    score, seen = await play(TASK, ctx, sample(TASK, ctx, "strategy_qa/00"), two(plan, "No"))
    log = seen[1].messages[1].content
    assert "Plan: a\nEvidence:\nCalculator failed: not an arithmetic expression\n" in log
    assert "Plan: b\nEvidence:\nCould not find [Merrow Merrow" in log
    assert "Plan: c\nEvidence:\nNo evidence found\n" in log
    assert (scored(score).value, scored(score).outcome, scored(score).metrics["tool_error"]) == (
        1.0,
        None,
        1.0,
    )


async def test_a_failing_role_is_no_score(tmp_path: Path):
    class Broken:
        async def ask(self, key: str, messages: object, ask: Ask) -> Reply:
            raise InfraError("the role is down")

    ctx = context(TASK, FIXTURE, tmp_path, roles=["tool_llm"])
    with pytest.raises(InfraError, match="down"):
        await play(
            TASK,
            ctx,
            sample(TASK, ctx, "gsm8k/00"),
            two("Plan: a\n#E1 = LLM[x]"),
            {"tool_llm": Broken()},
        )


@pytest.mark.parametrize(
    "reply", ["", "x" * 65_536, "\0", "\ud800", "#E1 = " * 9999, "Plan: a\n#E1 = LLM[\ud800]"]
)
@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_hostile_replies_never_raise(tmp_path: Path, reply: str, profile: str):
    ctx = context(TASK, FIXTURE, tmp_path, profile)
    score, seen = await play(TASK, ctx, sample(TASK, ctx, "physics_question/00"), lambda observation: reply)
    assert scored(score).value == 0.0
    assert len(seen) <= 3


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("profile", "outcome"), [("paper", "model_error"), ("fixed", None)])
async def test_evidence_that_names_itself_does_not_fill_the_memory(
    tmp_path: Path, profile: str, outcome: str | None
):
    ctx = context(TASK, FIXTURE, tmp_path, profile)
    plan = "Plan: a\n#E1 = #E1#E1\nPlan: b\n#E2 = Google[" + "#E1" * 24 + "]"
    score, _ = await play(TASK, ctx, sample(TASK, ctx, "gsm8k/00"), two(plan, "no"))
    assert (scored(score).value, scored(score).outcome) == (0.0, outcome)
    digits = f"Plan: a\n#E{'9' * 5000} = Google[x]"
    score, _ = await play(TASK, ctx, sample(TASK, ctx, "gsm8k/00"), two(digits, "no"))
    assert scored(score).value == 0.0


async def test_the_longest_evidence_is_trimmed_instead_of_the_prompts_head(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path, "fixed")
    plan = f"Plan: a\n#E1 = {'long ' * 9000}\nPlan: b\n#E2 = short"
    score, seen = await play(TASK, ctx, sample(TASK, ctx, "gsm8k/00"), two(plan, "1080"))
    prompt = seen[1].messages[1].content
    assert len(prompt) <= 3 * 4000
    assert prompt.startswith("Answer the question below.")
    assert "Evidence:\nshort\n" in prompt
    assert seen[1].ask == Ask(max_new_tokens=256)
    assert scored(score).metrics["truncated"] == 1.0


@pytest.mark.timeout(60)
async def test_thousands_of_short_evidences_are_trimmed_without_a_count_for_each(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path, "fixed")
    plan = "Plan: a\n" + "".join(f"#E{n}=x y\n" for n in range(10, 6000))
    score, seen = await play(TASK, ctx, sample(TASK, ctx, "gsm8k/00"), two(plan, "1080"))
    assert 0 < seen[1].messages[1].content.count("x y") < 4000
    assert scored(score).metrics["truncated"] == 1.0


async def test_score_before_any_step(tmp_path: Path):
    ctx = context(TASK, FIXTURE, tmp_path, grader="judge")
    async with TASK.world(ctx) as world:
        episode = await world.episode(sample(TASK, ctx, "gsm8k/00"), {}, 0)
        assert scored(await episode.score()).value == 0.0
        await episode.close()
