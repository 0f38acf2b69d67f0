"""Holds a task's counted episodes as columns: a million rows fit in memory, built one at a time when read."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Protocol, runtime_checkable

from harness.storage.reader import Texts
from harness.types import Outcome, Row, Table

OUTCOMES: tuple[Outcome, ...] = ("scored", "limit", "model_error")
CODES: Mapping[str, int] = {name: code for code, name in enumerate(OUTCOMES)}
PAGE = 1000
"""Rows whose texts are read at a time."""

Key = tuple[str, int]
"""Sample and repeat."""
FetchTexts = Callable[[Sequence[int]], Mapping[int, Texts]]
NO_TEXTS = Texts("", "")


@runtime_checkable
class WithTexts(Protocol):
    """Rows with their answers and targets."""

    def with_texts(self) -> Iterator[tuple[Row, Texts]]:
        """Every row with them."""
        ...


class Shape:
    """The numbers of all rows that carry the same metrics, in the same order and of the same types."""

    __slots__ = ("names", "numbers")

    def __init__(self, names: tuple[str, ...], kinds: tuple[type, ...]) -> None:
        self.names = names
        # A list keeps integers apart from floats: they are printed differently.
        self.numbers: array[float] | list[float] = array("d") if set(kinds) <= {float} else []

    def add(self, numbers: Iterable[float]) -> int:
        """Add a row's numbers, and say as which row of this shape."""
        index = len(self.numbers) // len(self.names) if self.names else 0
        self.numbers.extend(numbers)
        return index

    def row(self, index: int) -> dict[str, float]:
        """A row's metrics."""
        width = len(self.names)
        return dict(zip(self.names, self.numbers[index * width : (index + 1) * width], strict=True))


class Columns(Table):
    """A task's rows, ordered by sample and repeat once `sort` was called.

    Attributes:
        texts: reads answers and targets by attempt.
    """

    def __init__(self) -> None:
        self.texts: FetchTexts | None = None
        self._ids = array("q")
        self._samples: list[str] = []
        self._repeats = array("q")
        self._outcomes = bytearray()
        self._values = array("d")
        self._labels: list[Mapping[str, str]] = []
        self._clusters: list[str] = []
        self._shapes: dict[tuple[tuple[str, ...], tuple[type, ...]], int] = {}
        self._parts: list[Shape] = []
        self._shape = array("i")
        self._index = array("i")
        self._has_texts = bytearray()

    def add(self, row: Row, *, id: int = 0, has_texts: bool = False) -> None:
        """Add a row.

        Args:
            row: its labels are kept as they are: rows with equal labels should share one mapping.
            id: of its attempt.
            has_texts: whether an answer or a target is stored with it.
        """
        key = (tuple(row.metrics), tuple(map(type, row.metrics.values())))
        code = self._shapes.get(key)
        if code is None:
            code = self._shapes[key] = len(self._parts)
            self._parts.append(Shape(*key))
        self._shape.append(code)
        self._index.append(self._parts[code].add(row.metrics.values()))
        self._ids.append(id)
        self._samples.append(row.sample)
        self._repeats.append(row.repeat)
        self._outcomes.append(CODES[row.outcome])
        self._values.append(row.value)
        self._labels.append(row.labels)
        self._clusters.append(row.cluster)
        self._has_texts.append(has_texts)

    def sort(self) -> None:
        """Order the rows by sample, then repeat, then as they were added."""
        order = sorted(range(len(self)), key=self._repeats.__getitem__)
        order.sort(key=self._samples.__getitem__)
        self._samples = list(map(self._samples.__getitem__, order))
        self._labels = list(map(self._labels.__getitem__, order))
        self._clusters = list(map(self._clusters.__getitem__, order))
        self._outcomes = bytearray(map(self._outcomes.__getitem__, order))
        self._has_texts = bytearray(map(self._has_texts.__getitem__, order))
        self._ids = array("q", map(self._ids.__getitem__, order))
        self._repeats = array("q", map(self._repeats.__getitem__, order))
        self._values = array("d", map(self._values.__getitem__, order))
        self._shape = array("i", map(self._shape.__getitem__, order))
        self._index = array("i", map(self._index.__getitem__, order))

    # -- as columns

    @property
    def values(self) -> Sequence[float]:
        """Every row's value, as an array of doubles."""
        return self._values

    @property
    def samples(self) -> Sequence[str]:
        """Every row's sample."""
        return self._samples

    @property
    def repeats(self) -> Sequence[int]:
        """Every row's repeat, from 0."""
        return self._repeats

    @property
    def units(self) -> Sequence[object]:
        """What each row is resampled with."""
        if not any(self._clusters):
            return self._samples
        pairs = zip(self._clusters, self._samples, strict=True)
        return [(cluster,) if cluster else sample for cluster, sample in pairs]

    def column(self, label: str) -> Sequence[str]:
        """Every row's value of a label, empty where it has none."""
        return [labels.get(label, "") for labels in self._labels]

    def metrics(self) -> Mapping[str, Iterable[float]]:
        """Each metric's numbers over the rows that carry it, in no particular order."""
        found: dict[str, list[Sequence[float]]] = {}
        for part in self._parts:
            for place, name in enumerate(part.names):
                found.setdefault(name, []).append(part.numbers[place :: len(part.names)])
        return {name: chain.from_iterable(numbers) for name, numbers in found.items()}

    def outcomes(self) -> Mapping[str, int]:
        """How often each outcome occurs."""
        return {name: self._outcomes.count(code) for name, code in CODES.items()}

    # -- as rows

    def __len__(self) -> int:
        return len(self._samples)

    def row(self, n: int) -> Row:
        """A row."""
        return Row(
            self._samples[n],
            self._repeats[n],
            OUTCOMES[self._outcomes[n]],
            self._values[n],
            self._parts[self._shape[n]].row(self._index[n]),
            self._labels[n],
            self._clusters[n],
        )

    def with_texts(self) -> Iterator[tuple[Row, Texts]]:
        """Every row with its answer and target, empty texts where none are stored."""
        for start in range(0, len(self), PAGE):
            rows = range(start, min(start + PAGE, len(self)))
            ids = [self._ids[n] for n in rows if self._has_texts[n]]
            found: Mapping[int, Texts] = self.texts(ids) if ids and self.texts else {}
            for n in rows:
                yield self.row(n), found.get(self._ids[n], NO_TEXTS)


def outcomes(rows: Sequence[Row]) -> Mapping[str, int]:
    """How often each outcome occurs."""
    return rows.outcomes() if isinstance(rows, Columns) else Counter(row.outcome for row in rows)


def keys_of(rows: Sequence[Row]) -> list[Key]:
    """The (sample, repeat) of every row."""
    if isinstance(rows, Columns):
        return list(zip(rows.samples, rows.repeats, strict=True))
    return [(row.sample, row.repeat) for row in rows]


def with_texts(rows: Sequence[Row]) -> Iterator[tuple[Row, Texts]]:
    """Every row with its answer and target, where they are known."""
    if isinstance(rows, WithTexts):
        yield from rows.with_texts()
    else:
        yield from ((row, NO_TEXTS) for row in rows)
