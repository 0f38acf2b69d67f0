"""Readers that tasks share: files of JSON lines, and arguments in brackets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataError, MissingPart

_BRACKET = re.compile(r"[\[\]]")


def json_lines(path: Path, *, fix: str) -> Iterator[Mapping[str, Any]]:
    """Read a file of one JSON object per line.

    Raises:
        MissingPart: the file is not there; the message ends in `fix`.
        DataError: a line is not JSON; the message names it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MissingPart(f"{path} is missing: {fix}") from error
    # Not splitlines: it would also cut at U+2028, which stands unescaped in JSON.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line:
            continue
        try:
            yield json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}:{number} is not JSON: {error}") from error


def balanced(text: str, start: int) -> str:
    """The text from `start` to the bracket that closes the one before it, or to the end."""
    depth = 1
    for found in _BRACKET.finditer(text, start):
        depth += 1 if found[0] == "[" else -1
        if depth == 0:
            return text[start : found.start()]
    return text[start:]
