"""Builds the judge's questions about a model's answers, as FastChat's single-answer grading does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.types import Ask, JudgeAsk, Message, Profile
from tasks.mt_bench.rows import JudgePrompt, Question

ASK = Ask(2048)
"""Greedy, as FastChat's judge at temperature 0."""


def template_name(question: Question, turn: int) -> str:
    """Name the template for a turn, counted from 1."""
    return f"single{'-math' if question.references else ''}-v1{'-multi-turn' if turn == 2 else ''}"


def judge_ask(
    question: Question, answers: Sequence[str], turn: int, prompt: JudgePrompt, profile: Profile = "paper"
) -> JudgeAsk:
    """Ask for a rating of one turn.

    Args:
        question: with its references.
        answers: the model's answers up to and including this turn.
        turn: counted from 1.
        prompt: the template that `template_name` names.
        profile: whose rule says which verdicts can be used.
    """
    text = prompt.template.format(**_values(question, answers, turn))
    return JudgeAsk(
        key=f"turn-{turn}",
        messages=(Message("system", prompt.system), Message("user", text)),
        ask=ASK,
        info={
            "question_id": question.id,
            "category": question.category,
            "turn": turn,
            "template": prompt.name,
            "profile": profile,
            "once": profile == "paper",
        },
    )


def _values(question: Question, answers: Sequence[str], turn: int) -> Mapping[str, str]:
    references = {f"ref_answer_{n}": text for n, text in enumerate(question.references, 1)}
    if turn == 1:
        return {"question": question.turns[0], "answer": answers[0], **references}
    asked = {f"question_{n}": text for n, text in enumerate(question.turns, 1)}
    return {**asked, **{f"answer_{n}": text for n, text in enumerate(answers, 1)}, **references}
