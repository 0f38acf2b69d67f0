"""Writes answers and judgments in FastChat's own form, so that its tools read our files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from harness.types import JudgeAsk
from tasks.mt_bench.rows import TURNS
from tasks.mt_bench.score import paper_rating

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ID_LENGTH = 22


def answer_row(question_id: int, model_id: str, turns: Sequence[str], tstamp: float) -> dict[str, Any]:
    """One line of a `model_answer` file.

    Args:
        question_id: 81 to 160 in the real data.
        model_id: the name under which FastChat will list the model.
        turns: both answers, as judged.
        tstamp: Unix time of the answer, in seconds.

    Raises:
        ValueError: an answer is missing; FastChat's form has no place for that.
    """
    if len(turns) != TURNS:
        raise ValueError(f"question {question_id} has {len(turns)} answers, FastChat's form needs {TURNS}")
    return {
        "question_id": question_id,
        "answer_id": _short_id(str(question_id), model_id, *turns),
        "model_id": model_id,
        "choices": [{"index": 0, "turns": list(turns)}],
        "tstamp": tstamp,
    }


def judgment_row(item: JudgeAsk, model_id: str, judge: str, verdict: str, tstamp: float) -> dict[str, Any]:
    """One line of a `model_judgment` file; a rating FastChat could not read is -1 there.

    Args:
        item: what the judge was asked.
        model_id: the judged model.
        judge: the judge's name.
        verdict: the judge's answer.
        tstamp: Unix time of the verdict, in seconds.
    """
    rating = paper_rating(verdict)
    whole = rating is not None and rating.is_integer()
    return {
        "question_id": item.info["question_id"],
        "model": model_id,
        "judge": [judge, item.info["template"]],
        "user_prompt": item.messages[-1].content,
        "judgment": verdict,
        "score": -1 if rating is None else int(rating) if whole else rating,
        "turn": item.info["turn"],
        "tstamp": tstamp,
    }


def _short_id(*parts: str) -> str:
    """A short id in the alphabet FastChat's ids have; the same answer keeps its id."""
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).digest()
    number, letters = int.from_bytes(digest, "big"), ""
    for _ in range(_ID_LENGTH):
        number, index = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[index]
    return letters
