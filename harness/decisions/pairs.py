"""Puts the episodes of two runs side by side: the same sample and repeat in both."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.report.columns import Key, keys_of
from harness.types import Row, Table
from harness.types.average import column_of, units_of, values_of


@dataclass(frozen=True, slots=True)
class Pairs:
    """The values of n paired episodes.

    Attributes:
        keys: n (sample, repeat) pairs.
        before, after: n values each, in the scale of `Score.value`.
        first: row of each pair in the first run's rows.
        second: the same in the second's.
        only_before, only_after: episodes that the other run does not have.
    """

    keys: Sequence[Key]
    before: Sequence[float]
    after: Sequence[float]
    first: Sequence[int]
    second: Sequence[int]
    only_before: int = 0
    only_after: int = 0

    @property
    def binary(self) -> bool:
        """Whether every value is 0 or 1."""
        return {*self.before, *self.after} <= {0.0, 1.0}

    def changed(self) -> tuple[list[Key], list[Key]]:
        """The episodes whose value fell, and those whose value rose."""
        fell: list[Key] = []
        rose: list[Key] = []
        for key, before, after in zip(self.keys, self.before, self.after, strict=True):
            if after < before:
                fell.append(key)
            elif after > before:
                rose.append(key)
        return fell, rose


def pair(first: Sequence[Row], second: Sequence[Row]) -> Pairs:
    """Join two runs' rows of one task on (sample, repeat), in the order of the first."""
    ours, theirs = keys_of(first), keys_of(second)
    if ours == theirs:
        same = range(len(ours))
        return Pairs(ours, values_of(first), values_of(second), same, same)
    places = {key: place for place, key in enumerate(theirs)}
    left = array("q", [place for place, key in enumerate(ours) if key in places])
    right = array("q", [places[ours[place]] for place in left])
    before, after = values_of(first), values_of(second)
    return Pairs(
        [ours[place] for place in left],
        array("d", map(before.__getitem__, left)),
        array("d", map(after.__getitem__, right)),
        left,
        right,
        len(ours) - len(left),
        len(theirs) - len(right),
    )


@dataclass(slots=True)
class Differences(Table):
    """Paired differences as rows, so that averages and their intervals work on them.

    A mean or macro average of the differences is the difference of the averages.
    """

    rows: Sequence[Row]
    pairs: Pairs
    _values: Sequence[float] = field(init=False)

    def __post_init__(self) -> None:
        both = zip(self.pairs.before, self.pairs.after, strict=True)
        self._values = array("d", [after - before for before, after in both])

    @property
    def values(self) -> Sequence[float]:
        """The second value of every pair less the first."""
        return self._values

    @property
    def units(self) -> Sequence[object]:
        """What each pair is resampled with, as the first run's rows say."""
        units = units_of(self.rows)
        return [units[place] for place in self.pairs.first]

    def column(self, label: str) -> Sequence[str]:
        """Every pair's value of a label, as the first run's rows say."""
        column = column_of(self.rows, label)
        return [column[place] for place in self.pairs.first]

    def metrics(self) -> Mapping[str, Iterable[float]]:
        """Differences carry no metrics."""
        return {}

    def __len__(self) -> int:
        return len(self.pairs.first)

    def row(self, n: int) -> Row:
        """A pair as a row: the first run's, with the difference as its value."""
        row = self.rows[self.pairs.first[n]]
        return Row(row.sample, row.repeat, row.outcome, self._values[n], {}, row.labels, row.cluster)
