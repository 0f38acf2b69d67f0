"""Writes the JSON report in pieces, so that the text of a million episodes is never in memory at once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from harness.report.columns import with_texts
from harness.report.result import Report, TaskResult
from harness.storage.reader import Texts
from harness.types import Row

BATCH = 1000
"""Episodes in a piece."""

_text = json.encoder.encode_basestring


def pieces(reports: Sequence[Report]) -> Iterator[str]:
    """The JSON report in pieces: what `json.dumps(..., ensure_ascii=False, indent=1)` gives in one.

    Raises:
        ValueError: a number is not finite.
    """
    if len(reports) == 1:
        yield from _report(reports[0], 0)
    else:
        yield from _list((_report(report, 1) for report in reports), 0)


def _report(report: Report, depth: int) -> Iterator[str]:
    members = {name: _whole(value, depth + 1) for name, value in report.facts().items()}
    tasks = {name: _task(result, depth + 2) for name, result in report.tasks.items()}
    yield from _object(members | {"tasks": _object(tasks, depth + 1)}, depth)


def _task(result: TaskResult, depth: int) -> Iterator[str]:
    members = {name: _whole(value, depth + 1) for name, value in result.facts().items()}
    yield from _object(members | {"episodes": _episodes(result.data.rows, depth + 1)}, depth)


def _whole(value: Any, depth: int) -> Iterator[str]:
    """A value that is small enough to be written at once."""
    yield json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False).replace("\n", "\n" + " " * depth)


def _object(members: Mapping[str, Iterator[str]], depth: int) -> Iterator[str]:
    if not members:
        yield "{}"
        return
    start = "{"
    for name, value in members.items():
        yield f"{start}\n{' ' * (depth + 1)}{_text(name)}: "
        yield from value
        start = ","
    yield f"\n{' ' * depth}}}"


def _list(items: Iterable[Iterator[str]], depth: int) -> Iterator[str]:
    start = "["
    for item in items:
        yield f"{start}\n{' ' * (depth + 1)}"
        yield from item
        start = ","
    yield f"\n{' ' * depth}]" if start == "," else "[]"


def _episodes(rows: Sequence[Row], depth: int) -> Iterator[str]:
    episodes, indent = with_texts(rows), "\n" + " " * (depth + 1)
    start = "["
    while batch := [_episode(row, texts, indent) for row, texts in islice(episodes, BATCH)]:
        yield start + indent + f",{indent}".join(batch)
        start = ","
    yield indent[:-1] + "]" if start == "," else "[]"


def _episode(row: Row, texts: Texts, indent: str) -> str:
    """An episode, with answer and target when one is stored; written by hand, three times as fast as json."""
    inner = indent + " "
    numbers = f",{inner} ".join([f"{_text(name)}: {_finite(value)}" for name, value in row.metrics.items()])
    members = [
        f'"sample": {_text(row.sample)}',
        f'"repeat": {row.repeat}',
        f'"outcome": "{row.outcome}"',
        f'"value": {json.dumps(row.value, allow_nan=False)}',
        f'"metrics": {{{inner} {numbers}{inner}}}' if numbers else '"metrics": {}',
    ]
    if any(texts):
        members += [f'"answer": {_text(texts.answer)}', f'"target": {_text(texts.target)}']
    return "{" + inner + f",{inner}".join(members) + indent + "}"


def _finite(number: float) -> str:
    if type(number) is float:
        return repr(number) if math.isfinite(number) else "null"
    return json.dumps(number)
