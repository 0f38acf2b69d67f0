"""The 300 questions: three files of a hundred, and the paragraphs that come with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.authoring import jsonl
from harness.types import Sample

LEVELS = ("easy", "medium", "hard")


def rows(data: Path, level: str) -> Iterator[Mapping[str, Any]]:
    """Read one level's rows in their order.

    Raises:
        DataError: the file is not there, or a line is no JSON object.
    """
    return jsonl(data / f"{level}.jsonl", fix="harness data prepare hotpotqa, or --mirror DIR")


def samples(data: Path) -> list[Sample]:
    """All questions, level by level; ids are `<level>/<row>`."""
    return [
        Sample(
            f"{level}/{int(row['row']):03d}",
            {
                "question": row["question"],
                "answer": row["answer"],
                "type": row["type"],
                "titles": tuple(dict.fromkeys(fact[0] for fact in row["supporting_facts"])),
            },
            {"level": level},
        )
        for level in LEVELS
        for row in rows(data, level)
    ]


def paragraphs(data: Path) -> Iterator[tuple[str, str]]:
    """Every paragraph that comes with a question, as (title, text); titles repeat."""
    for level in LEVELS:
        for row in rows(data, level):
            for title, sentences in row["context"]:
                yield title, "".join(sentences)
