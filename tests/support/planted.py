"""A question set of random words, and training files in which some of its questions stand."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

FORM = """
id = "quiz"
title = "Random words"
data = "quiz.jsonl"
question = "{q}"
answer = "a"
compare = "exact"
"""
WORDS = 40

rng = random.Random(27)


def words(count: int) -> list[str]:
    """Words of six letters, which no two texts share but by chance."""
    return ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(count)]


QUESTIONS = [" ".join(words(WORDS)) for _ in range(8)]


def quiz(folder: Path) -> str:
    """Write the question set; its name for `--task`."""
    rows = [{"q": question, "a": "yes"} for question in QUESTIONS]
    (folder / "quiz.toml").write_text(FORM)
    (folder / "quiz.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / "quiz.toml")


def changed(question: str, places: Sequence[int]) -> str:
    """A question with other words at some places."""
    found = question.split()
    for place in places:
        found[place] = "changed"
    return " ".join(found)


def talk(*turns: str) -> Mapping[str, object]:
    """A row as ShareGPT and AgentInstruct have it."""
    return {"conversations": [{"from": "human", "value": text} for text in turns]}


def clean(count: int) -> list[Mapping[str, object]]:
    """Rows that share no run of words with a question, but many words."""
    known = " ".join(QUESTIONS).split()
    return [talk(" ".join(rng.choices(known, k=60)), "Surely.") for _ in range(count)]


def written(path: Path, rows: Sequence[object]) -> str:
    """Write JSON lines; the path as typed."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)
