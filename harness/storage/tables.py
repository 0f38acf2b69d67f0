"""Reads and writes whole rows of a run's tables, for commands that put a store together from others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.storage.reader import Reader
from harness.storage.run_record import RunRecord

BATCH = 5000
"""Rows that are committed together; the log beside the file stays small however large a table is."""

Rows = tuple[list[str], Iterator[tuple[Any, ...]]]
"""The names of a table's columns, and its rows."""


class TableReader(Reader):
    """A run's file as it was when it was opened, also while the run goes on.

    Raises:
        StoreError: the file cannot be read, or is of store version 1.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if self.version < 2:
            self.close()
            raise StoreError(f"{path} is of store version 1: harness export copies it whole")
        list(self._rows("BEGIN"))

    def table(self, name: str, where: str = "1", *values: Any) -> Rows:
        """A table's columns, and those of its rows that fit the condition."""
        columns = [str(row[1]) for row in self._rows(f"PRAGMA table_info({name})")]
        return columns, self._rows(f"SELECT {', '.join(columns)} FROM {name} WHERE {where}", values)


class TableWriter(RunRecord):
    """A new store; its tables are made when it is opened."""

    def put(self, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows to a table; one whose key is there already is left out, except among final attempts.

        Raises:
            sqlite3.IntegrityError: an item has a final attempt already.
        """
        names, places = ", ".join(columns), ", ".join("?" * len(columns))
        how = "INSERT" if table == "episode" else "INSERT OR IGNORE"
        left = iter(rows)
        while batch := list(islice(left, BATCH)):
            with self._writing() as db:
                db.executemany(f"{how} INTO {table}({names}) VALUES({places})", batch)

    def last_id(self) -> int:
        """The highest number that an attempt has; 0 without any."""
        return int(self._first("SELECT coalesce(max(id), 0) FROM episode")[0])
