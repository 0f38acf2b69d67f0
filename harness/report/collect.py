"""Sorts a task's stored attempts: counted, waiting for a judge, failed, or damaged."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from harness.report.columns import CODES, Columns
from harness.storage.reader import StoredRow
from harness.types import Outcome, Row

OldLabels = Callable[[str, Mapping[str, float]], Mapping[str, str]]
Key = tuple[int, str, int]
NUMBERS = frozenset({float, int, bool})


class Damaged(Exception):
    """A stored attempt cannot be read; the message says why."""


class Collector:
    """Collects the attempts of one task, in the order of the file.

    A damaged attempt counts as an infrastructure error, and a metric that is no number is left out; the
    report says how many there are of each.

    Attributes:
        columns: counted rows.
        pending: complete episodes that wait for a judge.
        waiting: those of them that have numbers already, with NaN for the value.
    """

    def __init__(self, file: str, old_labels: OldLabels) -> None:
        from msgspec.json import Decoder

        self.columns = Columns()
        self.pending = 0
        self.waiting: list[Row] = []
        self._file, self._old_labels = file, old_labels
        self._decode: Callable[[str], Any] = Decoder().decode
        self._labels: dict[object, Mapping[str, str]] = {}
        self._done: tuple[list[int], list[str], list[int]] = [], [], []
        self._failed: set[Key] = set()
        self._damaged: list[str] = []
        self._odd: list[str] = []

    def add(self, attempt: StoredRow) -> None:
        """Add one attempt."""
        key = (attempt.version, attempt.sample, attempt.repeat)
        if not attempt.final:
            self._failed.add(key)
            return
        for column, part in zip(self._done, key, strict=True):
            cast("list[object]", column).append(part)  # a million tuples would take three times the memory
        try:
            self._count(attempt)
        except Damaged as reason:
            self._damaged.append(f"sample {attempt.sample!r} repeat {attempt.repeat}: {reason}")

    def infra_errors(self) -> int:
        """How many planned episodes only ever failed, damaged ones included."""
        return len(self._failed.difference(zip(*self._done, strict=True))) + len(self._damaged)

    def notes(self) -> list[str]:
        """How many attempts and metrics were left out, and the first of them."""
        left_out = [
            (self._damaged, "stored episodes are damaged and count as infrastructure errors"),
            (self._odd, "stored metrics are no numbers and are left out"),
        ]
        return [
            f"{len(found)} {what}; the first in {self._file}: {found[0]}" for found, what in left_out if found
        ]

    def _count(self, attempt: StoredRow) -> None:
        if type(attempt.sample) is not str or type(attempt.repeat) is not int:
            raise Damaged("not the name of an episode")
        if attempt.outcome not in CODES:
            raise Damaged(f"unknown outcome {attempt.outcome!r}")
        if attempt.value is None and attempt.pending:
            self.pending += 1
            if metrics := self._metrics(attempt):
                self.waiting.append(self._row(attempt, math.nan, metrics))
            return
        if type(attempt.value) is not float or not math.isfinite(attempt.value):
            raise Damaged(f"its value is {attempt.value!r}")
        row = self._row(attempt, attempt.value, self._metrics(attempt))
        self.columns.add(row, id=attempt.id, has_texts=bool(attempt.texts))

    def _row(self, attempt: StoredRow, value: float, metrics: Mapping[str, float]) -> Row:
        labels = self._labelled(attempt, metrics)
        outcome, cluster = cast(Outcome, attempt.outcome), str(attempt.cluster or "")
        return Row(attempt.sample, attempt.repeat, outcome, value, metrics, labels, cluster)

    def _metrics(self, attempt: StoredRow) -> dict[str, float]:
        found = self._json(attempt.metrics, "metrics")
        if all(type(value) is float for value in found.values()):
            return cast("dict[str, float]", found)
        kept = {name: value for name, value in found.items() if _is_number(value)}
        self._odd += [
            f"sample {attempt.sample!r} repeat {attempt.repeat}: {name!r} is {str(value)[:40]!r}"
            for name, value in found.items()
            if name not in kept
        ]
        return kept

    def _labelled(self, attempt: StoredRow, metrics: Mapping[str, float]) -> Mapping[str, str]:
        """A row's labels; equal ones share a mapping."""
        if attempt.labels is None:
            try:
                old = self._old_labels(attempt.sample, metrics)
            except (ValueError, LookupError) as error:
                raise Damaged(f"its labels cannot be read from its name and metrics ({error!r})") from error
            return self._labels.setdefault(tuple(old.items()), old)
        labels = self._labels.get(attempt.labels)
        if labels is None:
            labels = self._json(attempt.labels, "labels")
            if not all(isinstance(value, str) for value in labels.values()):
                raise Damaged("its labels are no texts")
            self._labels[attempt.labels] = labels
        return labels

    def _json(self, text: str, what: str) -> dict[str, Any]:
        try:
            found = self._decode(text)
        except (ValueError, TypeError, RecursionError):
            found = _lenient(text)
        if not isinstance(found, dict):
            raise Damaged(f"its {what} are {str(text)[:40]!r}")
        return cast("dict[str, Any]", found)


def _lenient(text: str) -> Any:
    """Read what only Python's own reader accepts (NaN, infinities, lone surrogates); else None."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None


def _is_number(value: object) -> bool:
    """Whether a float can hold it; NaN and infinities count as numbers, and are shown as missing."""
    if type(value) not in NUMBERS:
        return False
    try:
        float(cast(float, value))
    except OverflowError:
        return False
    return True
