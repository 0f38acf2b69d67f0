"""Finds runs of tokens that samples share with training texts, exactly and in memory that does not grow."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]

BATCH = 1 << 18
"""Tokens of training texts that are searched at once."""

_TABLE_BITS = 22
_BASES = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
"""Odd multipliers of the rolling hash; the next is taken should two runs of samples have one hash."""


class SpanIndex:
    """Every run of `span` tokens of the samples, and which of them a training text has.

    A token that no sample has is 0, so that the memory depends on the samples alone. Runs are looked up by a
    rolling hash and compared token by token: what is found is there.

    Args:
        samples: the tokens of each sample.
        span: tokens of a run.
    """

    def __init__(self, samples: Sequence[Sequence[Hashable]], span: int) -> None:
        self._span = span
        self._numbers: dict[Hashable, int] = {}
        for tokens in samples:
            for token in tokens:
                self._numbers.setdefault(token, len(self._numbers) + 1)
        self._lengths = [len(tokens) for tokens in samples]
        self._ids = self._joined(samples)
        self._places = _whole(self._ids, span)
        self._hash()
        self._found = np.zeros(len(self._grams), dtype=bool)
        self._texts: list[Sequence[Hashable]] = []
        self._rows: list[int] = []
        self._waiting = 0
        self.rows = 0
        self.rows_found = 0

    def add(self, texts: Sequence[Sequence[Hashable]]) -> None:
        """Search a training row; no run goes from one of its texts into the next."""
        self._texts += texts
        self._rows += [self.rows] * len(texts)
        self._waiting += sum(map(len, texts))
        self.rows += 1
        if self._waiting >= BATCH:
            self._search()

    def covered(self) -> list[NDArray[np.bool_]]:
        """For each sample, which of its tokens lie in a run that some training text has."""
        self._search()
        hits = self._places[self._found[self._gram_of]]
        edges = np.zeros(len(self._ids) + 1, dtype=np.int64)
        np.add.at(edges, hits, 1)
        np.add.at(edges, hits + self._span, -1)
        covered = np.cumsum(edges[:-1]) > 0
        starts = np.cumsum([0, *(length + 1 for length in self._lengths)])
        return [covered[at : at + n] for at, n in zip(starts, self._lengths, strict=False)]

    def _hash(self) -> None:
        """Number the different runs of the samples, and remember one place of each."""
        for base in _BASES:
            self._base = base
            hashes = self._hashes(self._ids)[self._places]
            self._grams, first, self._gram_of = np.unique(hashes, return_index=True, return_inverse=True)
            self._first: Ids = self._places[first]
            if self._same(self._ids, self._places, self._first[self._gram_of]).all():
                break
        else:
            raise ArithmeticError("three hashes collide: the tokens are not what they seem")
        self._table = np.zeros(1 << _TABLE_BITS, dtype=bool)
        self._table[self._short(self._grams)] = True

    def _search(self) -> None:
        """Look every run of the waiting texts up."""
        ids, rows = self._joined(self._texts), np.repeat(self._rows, [len(text) + 1 for text in self._texts])
        self._texts, self._rows, self._waiting = [], [], 0
        if not len(self._grams) or len(ids) < self._span:
            return
        places = _whole(ids, self._span)
        hashes = self._hashes(ids)[places]
        likely = self._table[self._short(hashes)]
        places, hashes = places[likely], hashes[likely]
        grams = np.searchsorted(self._grams, hashes).clip(max=len(self._grams) - 1)
        same = self._grams[grams] == hashes
        places, grams = places[same], grams[same]
        exact = self._same(ids, places, self._first[grams])
        self._found[grams[exact]] = True
        self.rows_found += len(np.unique(rows[places[exact]]))

    def _joined(self, texts: Sequence[Sequence[Hashable]]) -> Ids:
        """The numbers of all tokens, a 0 after each text."""
        number = self._numbers.get
        parts = ([number(token, 0) for token in text] + [0] for text in texts)
        return np.fromiter((n for part in parts for n in part), np.int64)

    def _hashes(self, ids: Ids) -> NDArray[np.uint64]:
        """The hash of the run that begins at each place."""
        count = max(0, len(ids) - self._span + 1)
        total, base = np.zeros(count, dtype=np.uint64), np.uint64(self._base)
        mixed = ids.astype(np.uint64)
        for at in range(self._span):
            total = total * base + mixed[at : at + count]
        return total ^ (total >> np.uint64(29))

    def _short(self, hashes: NDArray[np.uint64]) -> Any:
        return (hashes * np.uint64(_BASES[0])) >> np.uint64(64 - _TABLE_BITS)

    def _same(self, ids: Ids, places: Ids, samples: Ids) -> NDArray[np.bool_]:
        """Whether the runs at `places` of `ids` are those at `samples`, token by token."""
        same = np.ones(len(places), dtype=bool)
        for at in range(self._span):
            same &= ids[places + at] == self._ids[samples + at]
        return same


def _whole(ids: Ids, span: int) -> Ids:
    """Where runs begin that hold no 0."""
    unknown = np.concatenate([[0], np.cumsum(ids == 0)])
    return np.flatnonzero(unknown[span:] == unknown[:-span]) if len(ids) >= span else np.zeros(0, np.int64)
