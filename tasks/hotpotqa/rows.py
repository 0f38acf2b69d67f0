"""The 300 questions: three files of a hundred, and the paragraphs that come with them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataError, MissingPart
from harness.types import Sample

LEVELS = ("easy", "medium", "hard")


def rows(data: Path, level: str) -> Iterator[Mapping[str, Any]]:
    """Read one level's rows in their order.

    Raises:
        MissingPart: the file is not there.
        DataError: a line is no JSON object.
    """
    path = data / f"{level}.jsonl"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MissingPart(f"{path} is missing: harness data pull hotpotqa, or --mirror DIR") from error
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}:{number} is no JSON: {error}") from error
        yield row


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
            group=level,
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
