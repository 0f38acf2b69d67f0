"""Reads MT-Bench's questions, its reference answers and its judge prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.authoring import jsonl
from harness.errors import DataError

FASTCHAT = Path("fastchat/llm_judge/data")
QUESTIONS = FASTCHAT / "mt_bench/question.jsonl"
REFERENCES = FASTCHAT / "mt_bench/reference_answer/gpt-4.jsonl"
JUDGE_PROMPTS = FASTCHAT / "judge_prompts.jsonl"
INFLECTION = Path("inflection/mt_bench_inf.jsonl")

TEMPERATURES: Mapping[str, float] = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
}
"""Sampling temperature by category; 0 is greedy."""

REFERENCED = frozenset({"math", "reasoning", "coding"})
"""Categories whose judge is shown reference answers."""

TURNS = 2


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its two turns.

    Attributes:
        references: reference answers by turn; empty where the judge is shown none.
    """

    id: int
    category: str
    turns: tuple[str, ...]
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """A judge's system text and its template, filled by `str.format`."""

    name: str
    system: str
    template: str


def questions(data: Path, references: str) -> list[Question]:
    """Read all questions with the chosen set of references.

    Args:
        data: the task's data folder.
        references: `fastchat`, `inflection` (whose questions are corrected as well), or the path of a
            file in either form.

    Raises:
        DataError: a file is missing or malformed, or a question that needs a reference has none.
    """
    base = list(jsonl(data / QUESTIONS))
    answers = {row["question_id"]: _reference(row) for row in jsonl(data / REFERENCES)}
    if references == "inflection":
        corrected = {row["question_id"]: row for row in jsonl(data / INFLECTION)}
        base = [row | corrected.get(row["question_id"], {}) for row in base]
        answers |= {id: _reference(row) for id, row in corrected.items() if row.get("reference")}
    elif references != "fastchat":
        answers |= {row["question_id"]: _reference(row) for row in jsonl(Path(references))}
    return [_question(row, answers) for row in base]


def judge_prompts(data: Path) -> dict[str, JudgePrompt]:
    """Read the four single-answer templates by name."""
    rows = [row for row in jsonl(data / JUDGE_PROMPTS) if row.get("type") == "single"]
    return {
        row["name"]: JudgePrompt(row["name"], row["system_prompt"], row["prompt_template"]) for row in rows
    }


def _question(row: Mapping[str, Any], answers: Mapping[int, tuple[str, ...]]) -> Question:
    number, category = int(row["question_id"]), str(row["category"])
    turns = tuple(str(turn) for turn in row["turns"])
    if category not in TEMPERATURES or len(turns) != TURNS:
        raise DataError(
            f"question {number} has category {category!r} and {len(turns)} turns: not MT-Bench's data"
        )
    if category not in REFERENCED:
        return Question(number, category, turns)
    if len(answers.get(number, ())) != TURNS:
        raise DataError(f"question {number} ({category}) has no reference answer for both turns")
    return Question(number, category, turns, answers[number])


def _reference(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Reference answers by turn, from FastChat's answer form or a `reference` list."""
    found = row["choices"][0]["turns"] if "choices" in row else row.get("reference", ())
    return tuple(str(turn) for turn in found)
