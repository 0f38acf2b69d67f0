"""Reads the prepared steps of a split: one SQLite file, its pages compressed and read one at a time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Any

from harness import seeds
from harness.errors import DataError
from tasks.mind2web.pool import TOP

FORMAT = "1"
SEED = 123
"""Upstream's seed of its one generator of random numbers."""

TABLES = (
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE step(n INTEGER PRIMARY KEY, annotation TEXT NOT NULL, action TEXT NOT NULL,"
    " website TEXT NOT NULL, domain TEXT NOT NULL, task TEXT NOT NULL, previous TEXT NOT NULL,"
    " op TEXT NOT NULL, value TEXT NOT NULL, positives TEXT NOT NULL, negatives TEXT NOT NULL)",
    "CREATE TABLE page(n INTEGER PRIMARY KEY, markup BLOB NOT NULL)",
)

Ranked = tuple[tuple[str, int], ...]
"""Node ids with their ranks, 0 the best."""


@dataclass(frozen=True, slots=True)
class Mind2WebRow:
    """One step.

    Attributes:
        n: its number in the file, which is also the key of its page.
        previous: the recorded actions before it.
        positives: the right elements, all ranks; empty when the page shows none.
        negatives: other elements with good ranks.
    """

    n: int
    annotation: str
    action: str
    website: str
    domain: str
    task: str
    previous: tuple[str, ...]
    op: str
    value: str
    positives: Ranked
    negatives: Ranked

    @property
    def id(self) -> str:
        """The sample's id."""
        return f"{self.annotation}/{self.action}"

    @property
    def targets(self) -> list[str]:
        """The right elements that are in the pool."""
        return [id for id, rank in self.positives if rank < TOP]

    @property
    def candidates(self) -> list[str]:
        """What the model chooses from, before it is shuffled; nothing when it has no target."""
        others = [id for id, rank in self.negatives if rank < TOP]
        return [*self.targets, *others] if self.targets else []

    @property
    def best(self) -> int | None:
        """The best rank of a right element."""
        return min((rank for _, rank in self.positives), default=None)


COLUMNS = tuple(field.name for field in fields(Mind2WebRow))


def split_file(data: Path, split: str) -> Path:
    """The path of a split."""
    return data / f"{split}.sqlite"


def read(path: Path) -> list[Mind2WebRow]:
    """All steps of a file in the order of the benchmark, without their pages.

    Raises:
        DataError: the file is missing, damaged or of another form.
    """
    with _opened(path) as db:
        return [_row(*columns) for columns in db.execute("SELECT * FROM step ORDER BY n")]


def _row(*columns: Any) -> Mind2WebRow:
    """A row of the table, whose columns are the fields; lists are JSON."""
    values = dict(zip(COLUMNS, columns, strict=True))
    lists = {
        "previous": tuple(json.loads(values["previous"])),
        "positives": _ranked(values["positives"]),
        "negatives": _ranked(values["negatives"]),
    }
    return Mind2WebRow(**(values | lists))


def meta(path: Path) -> Mapping[str, str]:
    """What `harness data prepare` noted of a file: the number of steps, a hash of their ids, its sources.

    Raises:
        DataError: the file is missing, damaged or of another form.
    """
    with _opened(path) as db:
        return dict(db.execute("SELECT key, value FROM meta"))


def page(path: Path, n: int) -> str:
    """The markup of a step's page.

    Raises:
        DataError: it is not there, or damaged.
    """
    import zstandard

    with _opened(path) as db:
        found = db.execute("SELECT markup FROM page WHERE n = ?", (n,)).fetchone()
        try:
            return zstandard.ZstdDecompressor().decompress(found[0]).decode("utf-8")
        except (TypeError, ValueError, zstandard.ZstdError) as error:
            raise DataError(f"{path} has no page {n}, prepare it again: {error!r}") from error


def pools(rows: list[Mind2WebRow], shuffle: str) -> list[list[str]]:
    """Each step's candidates in the order they are asked about.

    Args:
        rows: all steps of the split.
        shuffle: `global123` draws from one generator over the steps in their order, as upstream does with one
            worker and a client that draws nothing; steps without a target draw nothing. `per_sample` gives
            each step a generator of its own.
    """
    one, found = Random(SEED), list[list[str]]()
    for row in rows:
        ids = row.candidates
        if ids:
            (one if shuffle == "global123" else Random(seeds.derive(SEED, row.id))).shuffle(ids)
        found.append(ids)
    return found


def _ranked(text: str) -> Ranked:
    return tuple((id, rank) for id, rank in json.loads(text))


@contextmanager
def _opened(path: Path) -> Generator[sqlite3.Connection]:
    fix = "`harness doctor mind2web` says how to get it"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            form = db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
            if form != (FORMAT,):
                raise DataError(f"{path} was prepared by another version of the harness: prepare it again")
            yield db
    except (sqlite3.Error, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}); {fix}") from error
