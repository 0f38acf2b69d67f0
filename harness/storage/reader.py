"""Reads the episodes of a run page by page, for commands that show a run without playing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from harness.errors import StoreError
from harness.storage.codec import Codec
from harness.storage.run_record import RunRecord

PAGE = 2000
"""Episodes in memory at a time."""
IDS = 500
"""Texts fetched by one query."""

_PLAIN = "id, task, version, sample, repeat, final, outcome, value, metrics, pending IS NOT NULL"
_OLD = "NULL, '', 0"
_ITEM = ("task", "version", "sample", "repeat")
_SAME_ITEM = " AND ".join(f"done.{column} = episode.{column}" for column in _ITEM)


class StoredRow(NamedTuple):
    """An attempt as it stands in the file, unchecked.

    Attributes:
        final: 1 for the item's one counted attempt.
        value: None for an episode that waits for its judge, and for infrastructure errors.
        metrics: JSON.
        pending: 1 when a judge was needed.
        labels: JSON; None for an attempt that may be from before labels were stored.
        texts: 1 when an answer or a target is stored (`Reader.texts`).
    """

    id: int
    task: str
    version: int
    sample: str
    repeat: int
    final: int
    outcome: str
    value: float | None
    metrics: str
    pending: int
    labels: str | None
    cluster: str | None
    texts: int


class Texts(NamedTuple):
    """What was read out of an episode's replies, and what was wanted."""

    answer: str
    target: str


class Cost(NamedTuple):
    """What a task's attempts took: requests to the model, its tokens, and seconds of episodes added up."""

    attempts: int
    requests: int
    prompt_tokens: int
    output_tokens: int
    seconds: float


class Failures(NamedTuple):
    """Equal episodes that did not run to their end."""

    task: str
    outcome: str
    note: str
    error: str
    episodes: int


class Reader(RunRecord):
    """A run's file, opened for reading; it may be written by a run at the same time.

    Raises:
        StoreError: the file cannot be read, is damaged, or was written by a newer harness.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, readonly=True)
        # An upgraded file keeps the table of version 1's calls; its old rows then have no labels.
        labels = "nullif(labels, '{}')" if "call" in self.tables else "labels"
        new = f"{labels}, cluster, answer <> '' OR target <> ''"
        self._columns = f"{_PLAIN}, {new if self.version > 1 else _OLD}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def meta(self, key: str) -> Any:
        """Read a JSON value, None when it was never set."""
        try:
            return super().meta(key)
        except (TypeError, ValueError) as error:
            raise StoreError(f"{self.path}: what it says under {key!r} is damaged: {error}") from error

    def counts(self) -> Mapping[str, int]:
        """Number of planned episodes by task."""
        return dict(self._rows("SELECT task, count(*) FROM plan GROUP BY task"))

    def span(self) -> tuple[float | None, float | None]:
        """When the first counted episode began and the last one ended (Unix seconds); None without any."""
        found = self._first("SELECT min(started), max(started + seconds) FROM episode WHERE final = 1")
        return (found[0], found[1]) if found else (None, None)

    def cost(self) -> Mapping[str, Cost]:
        """What each task's attempts took so far, failed ones included."""
        query = (
            "SELECT task, count(*), sum(calls), sum(prompt_tokens), sum(output_tokens), sum(seconds)"
            " FROM episode GROUP BY task"
        )
        return {task: Cost(*(number or 0 for number in numbers)) for task, *numbers in self._rows(query)}

    def failures(self) -> Iterator[Failures]:
        """Episodes that did not run to their end, equal ones together; of failed items the newest attempt."""
        columns = "task, outcome, note, error, count(*)"
        ended = "final = 1 AND outcome <> 'scored'"
        newest = (
            "SELECT max(id) FROM episode WHERE final = 0 AND NOT EXISTS (SELECT 1 FROM episode AS done"
            f" WHERE {_SAME_ITEM} AND done.final = 1) GROUP BY task, version, sample, repeat"
        )
        for which in (ended, f"id IN ({newest})"):
            query = f"SELECT {columns} FROM episode WHERE {which} GROUP BY task, outcome, note, error"
            yield from (Failures(*row) for row in self._rows(query))

    def call_facts(self) -> Iterator[Mapping[str, Any]]:
        """What was logged of each reply of the model under test, all attempts (see `CallRecord.facts`).

        Calls of store version 1 are left out.
        """
        if "turn" not in self.tables:
            return
        codec, last = Codec(), -(1 << 63)
        query = f"SELECT rowid, body FROM turn WHERE rowid > ? AND role = '' ORDER BY rowid LIMIT {PAGE}"
        while page := list(self._rows(query, (last,))):
            last = page[-1][0]
            yield from (codec.facts(body) for _, body in page)

    def unrecorded(self, task: str) -> int:
        """How many episodes of a task only ever failed for an answer that the replayed recording lacks."""
        found = self._first(
            "SELECT count(*) FROM (SELECT DISTINCT version, sample, repeat FROM episode WHERE task = ?"
            " AND final = 0 AND error LIKE 'MissingRecord:%'"
            f" AND NOT EXISTS (SELECT 1 FROM episode AS done WHERE {_SAME_ITEM} AND done.final = 1))",
            (task,),
        )
        return int(found[0]) if found else 0

    def pages(self, task: str = "", *, final_only: bool = False) -> Iterator[list[StoredRow]]:
        """Attempts in the order they were committed, a page at a time.

        Every page is a query of its own, so that no reader keeps a writer from folding in its log.

        Args:
            task: only this task's.
            final_only: leave out attempts that do not count.
        """
        wanted = "".join([" AND task = ?" if task else "", " AND final = 1" if final_only else ""])
        query = f"SELECT {self._columns} FROM episode WHERE id > ?{wanted} ORDER BY id LIMIT {PAGE}"
        last, more = -(1 << 63), ((task,) if task else ())
        while True:
            page = [StoredRow(*row) for row in self._rows(query, (last, *more))]
            if page:
                yield page
            if len(page) < PAGE:
                return
            last = page[-1].id

    def episodes(self, task: str = "", *, final_only: bool = False) -> Iterator[StoredRow]:
        """The attempts of `pages`, one by one."""
        for page in self.pages(task, final_only=final_only):
            yield from page

    def texts(self, ids: Sequence[int]) -> dict[int, Texts]:
        """Answers and targets of attempts by id; only those of `Stored.texts` have any."""
        if self.version < 2:
            return {}
        found: dict[int, Texts] = {}
        for start in range(0, len(ids), IDS):
            some = ids[start : start + IDS]
            query = f"SELECT id, answer, target FROM episode WHERE id IN ({', '.join('?' * len(some))})"
            found |= {row[0]: Texts(row[1], row[2]) for row in self._rows(query, tuple(some))}
        return found
