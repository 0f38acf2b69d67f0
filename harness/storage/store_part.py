"""Copies some episodes of a run's store to a small file, which reads as an incomplete run."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from harness.errors import StoreError
from harness.storage.tables import TableReader, TableWriter

PART = "part"
"""Key under which the copy says in words what it holds."""
_WHOLE = ("meta", "plan", "command")


class Wanted(NamedTuple):
    """A sample whose counted episodes are copied."""

    task: str
    version: int
    sample: str


class Copied(NamedTuple):
    """How many of the wanted samples are in the copy, and how many did not fit."""

    samples: int
    left_out: int


def copy_some(source: Path, out: Path, wanted: Iterable[Wanted], *, told: str, most_bytes: int) -> Copied:
    """Write the final attempts of samples, with their calls and verdicts; a file there is replaced.

    The copy holds the run's settings and its whole plan, so that a report of it says that it is incomplete.

    Args:
        source: the run's file.
        out: the copy.
        wanted: the samples, those that matter most first.
        told: what the copy holds, in words.
        most_bytes: bound on its episodes; a sample that does not fit is left out, and later ones may fit.

    Raises:
        StoreError: the source cannot be read or is of version 1, or the copy cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
            part = Path(folder) / out.name
            with closing(_Source(source)) as run, closing(TableWriter(part)) as target:
                copied = run.copy_to_part(target, wanted, most_bytes)
                target.set_meta(PART, told)
            with closing(sqlite3.connect(part)) as copy:
                copy.execute("PRAGMA journal_mode=DELETE")  # one file, also while it is read
            part.replace(out)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot write {out}: {error}; give a file in a writable folder") from error
    return copied


class _Source(TableReader):
    """The run."""

    def copy_to_part(self, copy: TableWriter, wanted: Iterable[Wanted], most_bytes: int) -> Copied:
        """Copy the tables of the whole run, and of the others what belongs to the wanted samples."""
        for table in _WHOLE:
            copy.put(table, *self.table(table))
        samples, left_out, room = 0, 0, most_bytes
        for one in wanted:
            ids = list(self._ids(one))
            size = sum(map(self._size, ids))
            if not ids or size > room:
                left_out += 1
                continue
            for episode in ids:
                copy.put("episode", *self.table("episode", "id = ?", episode))
                for table in ("turn", "verdict"):
                    copy.put(table, *self.table(table, "episode = ?", episode))
            samples, room = samples + 1, room - size
        return Copied(samples, left_out)

    def _ids(self, one: Wanted) -> Iterator[int]:
        query = "SELECT id FROM episode WHERE task = ? AND version = ? AND sample = ? AND final = 1"
        return (int(row[0]) for row in self._rows(query, tuple(one)))

    def _size(self, episode: int) -> int:
        found = self._first("SELECT total(length(body)) FROM turn WHERE episode = ?", (episode,))
        return int(found[0]) if found else 0
