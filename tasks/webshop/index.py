"""Full-text search as Lucene scores it: BM25 over arrays that are read from disk as they are needed."""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.webshop.analysis import terms

K1, B = np.float32(0.9), np.float32(0.4)
"""Anserini's defaults, which upstream's searcher has."""

FORMAT = 1
"""Raised whenever the files of a catalogue change their form, or the terms of a text change."""

HITS = 50

_EXACT = 24
"""Lengths below this have a byte of their own."""


def length_byte(length: int) -> int:
    """A document's length in the one byte Lucene keeps of it (SmallFloat.intToByte4)."""
    rest = length - _EXACT
    if rest < 0:
        return length
    shift = max(rest.bit_length() - 4, -1)
    return _EXACT + (rest if shift < 0 else (rest >> shift & 7) | (shift + 1) << 3)


def byte_length(code: int) -> int:
    """The length that a byte encodes."""
    rest = code - _EXACT
    if rest < 0:
        return code
    shift = (rest >> 3) - 1
    return _EXACT + (rest if shift < 0 else (rest & 7 | 8) << shift)


class Lines:
    """A file of lines, each found by its number through an array of offsets."""

    def __init__(self, path: Path) -> None:
        self._offsets: NDArray[np.int64] = np.load(offsets_of(path), mmap_mode="r")
        with path.open("rb") as file:
            empty = path.stat().st_size == 0
            self._bytes = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, number: int) -> bytes:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self._bytes[int(self._offsets[number]) : int(self._offsets[number + 1]) - 1]


def offsets_of(path: Path) -> Path:
    """Where the offsets of a file of lines are."""
    return path.with_suffix(".offsets.npy")


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write lines with their offsets."""
    offsets = [0]
    with path.open("wb") as file:
        for line in lines:
            file.write(line + b"\n")
            offsets.append(offsets[-1] + len(line) + 1)
    np.save(offsets_of(path), np.array(offsets, dtype=np.int64))


class SearchIndex:
    """BM25 over one catalogue.

    Scores are Lucene 9's, in single precision where it computes in single precision; documents with equal
    scores stand in the order of their asins.
    """

    def __init__(self, folder: Path, tokens: int) -> None:
        self._terms = Lines(folder / "terms.txt")
        self._offsets: NDArray[np.int64] = np.load(folder / "postings.offsets.npy", mmap_mode="r")
        self._docs: NDArray[np.int32] = np.load(folder / "postings.docs.npy", mmap_mode="r")
        self._counts: NDArray[np.uint16] = np.load(folder / "postings.counts.npy", mmap_mode="r")
        self._lengths: NDArray[np.uint8] = np.load(folder / "lengths.npy", mmap_mode="r")
        self._ranks: NDArray[np.int32] = np.load(folder / "ranks.npy", mmap_mode="r")
        average = np.float32(tokens / max(len(self), 1))
        table = np.array([byte_length(code) for code in range(256)], dtype=np.float32)
        self._norms = np.float32(1) / (K1 * ((np.float32(1) - B) + B * table / average))

    def __len__(self) -> int:
        return len(self._lengths)

    def search(self, text: str, hits: int = HITS) -> tuple[int, ...]:
        """The best documents for a bag of words, best first; only those with a word in common."""
        total = np.zeros(len(self), dtype=np.float64)
        for term, boost in Counter(terms(text)).items():
            start, end = self._postings(term)
            if start < end:
                docs = self._docs[start:end]
                total[docs] += self._scores(docs, self._counts[start:end], boost)
        found = np.flatnonzero(total)
        scores = total[found].astype(np.float32)
        if len(found) > hits:
            least = np.partition(scores, len(scores) - hits)[len(scores) - hits]
            found, scores = found[scores >= least], scores[scores >= least]
        best = np.lexsort((self._ranks[found], -scores))[:hits]
        return tuple(int(doc) for doc in found[best])

    def _scores(self, docs: NDArray[np.int32], counts: NDArray[np.uint16], boost: int) -> NDArray[np.float32]:
        frequency = len(docs)
        idf = np.float32(np.log1p((len(self) - frequency + 0.5) / (frequency + 0.5)))
        weight = np.float32(boost) * idf
        below = np.float32(1) + counts.astype(np.float32) * self._norms[self._lengths[docs]]
        return (weight - weight / below).astype(np.float32, copy=False)

    def _postings(self, term: str) -> tuple[int, int]:
        wanted = term.encode("utf-8", "surrogatepass")
        at = bisect_left(range(len(self._terms)), wanted, key=self._terms.__getitem__)
        if at == len(self._terms) or self._terms[at] != wanted:
            return 0, 0
        return int(self._offsets[at]), int(self._offsets[at + 1])


class Postings:
    """Which terms occur in a run of documents, and how often; written as one part of an index."""

    def __init__(self, first: int) -> None:
        self._first, self._lengths = first, list[int]()
        self._ids: dict[str, int] = {}
        self._rows: list[tuple[int, int, int]] = []

    def add(self, text: str) -> None:
        """Count the next document's terms."""
        counts = Counter(terms(text))
        doc = self._first + len(self._lengths)
        self._lengths.append(counts.total())
        self._rows += [
            (self._ids.setdefault(term, len(self._ids)), doc, count) for term, count in counts.items()
        ]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The part, its terms in the order of their bytes, its postings by term and then by document."""
        encoded = [term.encode("utf-8", "surrogatepass") for term in self._ids]
        order = sorted(range(len(encoded)), key=encoded.__getitem__)
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        rows = np.array(self._rows, dtype=np.int64).reshape(-1, 3)
        ids = place[rows[:, 0]]
        by_term = np.argsort(ids, kind="stable")
        return {
            "terms": np.frombuffer(b"\n".join(encoded[at] for at in order), dtype=np.uint8),
            "frequencies": np.bincount(ids, minlength=len(order)).astype(np.int64),
            "docs": rows[by_term, 1].astype(np.int32),
            "counts": np.minimum(rows[by_term, 2], 65535).astype(np.uint16),
            "lengths": np.array(self._lengths, dtype=np.int64),
        }


def merge(parts: Sequence[Path], folder: Path) -> int:
    """Join the parts of an index; returns the number of tokens in all documents."""
    words = [_part_terms(path) for path in parts]
    vocabulary = sorted(set[bytes]().union(*words))
    number = {term: at for at, term in enumerate(vocabulary)}
    write_lines(folder / "terms.txt", vocabulary)
    ids = [np.array([number[term] for term in part], dtype=np.int64) for part in words]
    del words, number
    frequencies = np.zeros(len(vocabulary), dtype=np.int64)
    lengths: list[NDArray[np.int64]] = []
    for path, part in zip(parts, ids, strict=True):
        with np.load(path) as arrays:
            frequencies[part] += arrays["frequencies"]
            lengths.append(arrays["lengths"])
    offsets = np.concatenate([[0], np.cumsum(frequencies)]).astype(np.int64)
    np.save(folder / "postings.offsets.npy", offsets)
    every = np.concatenate([*lengths, np.zeros(0, dtype=np.int64)])
    np.save(folder / "lengths.npy", np.array([length_byte(int(length)) for length in every], dtype=np.uint8))
    _write_postings(parts, ids, offsets, folder)
    return int(every.sum())


def _part_terms(path: Path) -> list[bytes]:
    with np.load(path) as arrays:
        joined = arrays["terms"].tobytes()
    return joined.split(b"\n") if joined else []


def _write_postings(
    parts: Sequence[Path], ids: Sequence[NDArray[np.int64]], offsets: NDArray[np.int64], folder: Path
) -> None:
    shape, free = (int(offsets[-1]),), offsets[:-1].copy()
    docs = np.lib.format.open_memmap(folder / "postings.docs.npy", "w+", np.int32, shape)
    counts = np.lib.format.open_memmap(folder / "postings.counts.npy", "w+", np.uint16, shape)
    for path, part in zip(parts, ids, strict=True):
        with np.load(path) as arrays:
            many = arrays["frequencies"]
            starts = np.cumsum(many) - many
            to = np.repeat(free[part] - starts, many) + np.arange(int(many.sum()))
            docs[to], counts[to] = arrays["docs"], arrays["counts"]
        free[part] += many
    docs.flush()
    counts.flush()
