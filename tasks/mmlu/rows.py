"""Reads MMLU's questions: one CSV file for each subject and split."""

from __future__ import annotations

import csv
from pathlib import Path

from harness.errors import DataError
from tasks.mmlu.subjects import SUBJECTS

LETTERS = ("A", "B", "C", "D")
COLUMNS = ("question", *LETTERS, "answer")


def subjects(data: Path, split: str) -> list[str]:
    """The subjects whose file is there, in order.

    Raises:
        DataError: there is none.
    """
    found = [name for name in SUBJECTS if _path(data, split, name).is_file()]
    if not found:
        raise DataError(
            f"{data / 'data' / split} holds no subject; `harness doctor` says how to get the data"
        )
    return found


def rows(data: Path, split: str, subject: str) -> list[dict[str, str]]:
    """A subject's questions as text; a reader that guesses types turns the option `None` into `nan`.

    Raises:
        DataError: the file cannot be read, or a row has not six columns.
    """
    path = _path(data, split, subject)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [dict(zip(COLUMNS, row, strict=True)) for row in csv.reader(file)]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; `harness doctor` says how to get it") from error


def _path(data: Path, split: str, subject: str) -> Path:
    return data / "data" / split / f"{subject}_{split}.csv"
