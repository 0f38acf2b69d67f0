"""The averages that headlines are made of, which the report can resample quickly for its interval."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import overload

from harness.types.talk import Row

Statistic = Callable[[Sequence[Row]], float]
"""Computes a headline from rows, in the scale of `Score.value`; NaN when these rows give none."""


class Table(Sequence[Row], ABC):
    """Rows that are kept as columns: averages read the columns, anything else reads them as rows."""

    @property
    @abstractmethod
    def values(self) -> Sequence[float]:
        """Every row's value."""

    @property
    @abstractmethod
    def units(self) -> Sequence[object]:
        """What each row is resampled with: rows of one cluster have an equal key (see `unit`)."""

    @abstractmethod
    def column(self, label: str) -> Sequence[str]:
        """Every row's value of a label, empty where it has none."""

    @abstractmethod
    def row(self, n: int) -> Row:
        """The n-th row, from 0."""

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self.row(n) for n in range(*index.indices(len(self)))]
        return self.row(range(len(self))[index])

    def __iter__(self) -> Iterator[Row]:
        return map(self.row, range(len(self)))

    @abstractmethod
    def metrics(self) -> Mapping[str, Iterable[float]]:
        """Each metric's numbers over the rows that carry it, in no particular order."""


def unit(row: Row) -> object:
    """Name what a row is resampled with: its cluster, or its sample when it is a cluster of its own."""
    return (row.cluster,) if row.cluster else row.sample


def values_of(rows: Sequence[Row]) -> Sequence[float]:
    """Every row's value."""
    return rows.values if isinstance(rows, Table) else [row.value for row in rows]


def units_of(rows: Sequence[Row]) -> Sequence[object]:
    """What each row is resampled with."""
    return rows.units if isinstance(rows, Table) else [unit(row) for row in rows]


def column_of(rows: Sequence[Row], label: str) -> Sequence[str]:
    """Every row's value of a label, empty where it has none."""
    return rows.column(label) if isinstance(rows, Table) else [row.labels.get(label, "") for row in rows]


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
    return fmean(values_of(rows))


def by(rows: Sequence[Row], label: str) -> Mapping[str, float]:
    """Average the values of each group of rows with one value of the label, in order of appearance."""
    groups: dict[str, list[float]] = {}
    for name, value in zip(column_of(rows, label), values_of(rows), strict=True):
        groups.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in groups.items()}


def macro(rows: Sequence[Row], label: str) -> float:
    """Average the means of the groups that `by` gives."""
    return fmean(by(rows, label).values())


def metric_means(rows: Sequence[Row]) -> dict[str, float]:
    """Average each metric over the rows that carry it, by name; NaN where its numbers have no mean."""
    if isinstance(rows, Table):
        found = rows.metrics()
        return {name: _mean_or_nan(found[name]) for name in sorted(found)}
    names = sorted({name for row in rows for name in row.metrics})
    return {name: _mean_or_nan([r.metrics[name] for r in rows if name in r.metrics]) for name in names}


def _mean_or_nan(numbers: Iterable[float]) -> float:
    try:
        return fmean(numbers)
    except (ValueError, OverflowError):  # infinities of both signs
        return math.nan
