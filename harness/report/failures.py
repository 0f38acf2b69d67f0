"""Why episodes did not run to their end, counted: outcome by reason, for each task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from harness.storage.reader import Failures, Reader

SHOWN = 8
"""Reasons listed for an outcome of a task; the rest is counted together."""
LONGEST = 100
"""Characters of a reason."""
UNSAID = {"limit": "turns, or a limit of the task's own", "model_error": "no reason noted"}

_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Failure:
    """How many episodes of a task ended in this way for this reason."""

    outcome: str
    reason: str
    count: int


ByTask = Mapping[str, list[Failure]]


def read(reader: Reader, tasks: Iterable[str]) -> ByTask:
    """Count the failures of a run's tasks, by reason, the most frequent first."""
    always = {task: _notes(reader, task) for task in tasks}
    counts: dict[str, Counter[tuple[str, str]]] = {task: Counter() for task in always}
    for found in reader.failures():
        if found.task in counts:
            counts[found.task][found.outcome, _reason(found, always[found.task])] += found.episodes
    return {task: list(_failures(counted)) for task, counted in counts.items() if counted}


def _notes(reader: Reader, task: str) -> frozenset[str]:
    """The world's own remarks, which the note of every episode repeats."""
    world = cast("Mapping[str, Any]", reader.meta(f"world/{task}") or {})
    return frozenset(map(str, world.get("notes", ())))


def _failures(counted: Counter[tuple[str, str]]) -> Iterator[Failure]:
    """The reasons of each outcome; beyond SHOWN of them the rest as one."""
    for outcome in sorted({outcome for outcome, _ in counted}):
        reasons = [(reason, count) for (one, reason), count in counted.most_common() if one == outcome]
        yield from (Failure(outcome, reason, count) for reason, count in reasons[:SHOWN])
        if rest := reasons[SHOWN:]:
            yield Failure(outcome, f"{len(rest)} other reasons", sum(count for _, count in rest))


def _reason(found: Failures, always: frozenset[str]) -> str:
    """The reason without what differs from episode to episode.

    Of an error that is its last line (a traceback ends with what was raised), of a note the first part
    that is not in every note of the task; numbers become `#`.
    """
    if found.outcome == "infra_error":
        lines = str(found.error).strip().splitlines()
        text = lines[-1] if lines else "no reason noted"
    else:
        parts = (part for part in str(found.note).split("; ") if part and part not in always)
        text = next(parts, UNSAID.get(found.outcome, "no reason noted"))
    return _NUMBER.sub("#", text)[:LONGEST]


def lines(failures: ByTask) -> Iterator[str]:
    """Failures for people."""
    for task, found in failures.items():
        for one in found:
            yield f"  {task}  {one.outcome}  {one.count}  {one.reason}"


def facts(failures: ByTask) -> dict[str, list[dict[str, Any]]]:
    """As JSON values."""
    return {task: [asdict(one) for one in found] for task, found in failures.items()}
