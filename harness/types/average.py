"""The averages that headlines are made of; the report's interval knows them and resamples them fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.types.talk import Row

Statistic = Callable[[Sequence[Row]], float]
"""Computes a headline from rows, in the scale of `Score.value`; NaN when these rows give none."""


@dataclass(frozen=True, slots=True)
class Mean:
    """The plain mean over episodes."""

    def __call__(self, rows: Sequence[Row]) -> float:
        """Average the values."""
        return mean(rows)


@dataclass(frozen=True, slots=True)
class Macro:
    """The mean over groups of each group's mean.

    Attributes:
        label: the sample label that names a row's group; rows without it are a group of their own.
    """

    label: str

    def __call__(self, rows: Sequence[Row]) -> float:
        """Average the groups' means."""
        return macro(rows, self.label)


MEAN = Mean()


def mean(rows: Sequence[Row]) -> float:
    """Average the rows' values."""
    return fmean(row.value for row in rows)


def by(rows: Sequence[Row], label: str) -> Mapping[str, float]:
    """Average the values of each group of rows with one value of the label, in order of appearance."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(row.labels.get(label, ""), []).append(row.value)
    return {name: fmean(values) for name, values in groups.items()}


def macro(rows: Sequence[Row], label: str) -> float:
    """Average the means of the groups that `by` gives."""
    return fmean(by(rows, label).values())
