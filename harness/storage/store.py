"""One SQLite file per run: every attempt is a row, and at most one attempt per item is final."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.storage import plain
from harness.storage.codec import Codec
from harness.storage.records import Attempt, CallRecord, EpisodeKey, StoredAttempt, Turn
from harness.storage.run_record import RunRecord
from harness.types import Pending

__all__ = ["Attempt", "CallRecord", "EpisodeKey", "Store", "StoredAttempt", "Turn"]

PAGE = 1_000
"""Attempts read by one query."""
ANSWER_CHARACTERS = 2_000
"""How much is kept of `Score.answer` and `Score.target`."""

_INSERT = (
    "INSERT INTO episode(id, task, version, sample, repeat, final, outcome, value, metrics, note, error,"
    " calls, prompt_tokens, output_tokens, rebuilds, started, seconds, pending, labels, cluster, answer,"
    " target, last)"
    " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
_ATTEMPT = (
    "EXISTS(SELECT 1 FROM episode WHERE final = {} AND task = plan.task AND version = plan.version"
    " AND sample = plan.sample AND repeat = plan.repeat)"
)
_PROGRESS = (
    "SELECT task, COUNT(*), SUM(ended), SUM(failed AND NOT ended) FROM"
    f" (SELECT task, {_ATTEMPT.format(1)} AS ended, {_ATTEMPT.format(0)} AS failed FROM plan) GROUP BY task"
)
_TURN = "role, n, key, parent, prefix, body"
_INSERT_TURN = f"INSERT INTO turn(episode, {_TURN}) VALUES(?,?,?,?,?,?,?)"
_NEWEST = "SELECT COALESCE(MAX(id), 0) FROM episode"

_Row = tuple[Any, ...]


class Store(RunRecord):
    """The run's file. All methods are synchronous and short; writers call from one thread.

    A file of version 1 is upgraded when opened for writing; opened read-only it reads as it is.

    Raises:
        StoreError: the file cannot be opened, read or written (no store, newer version, disk full); nothing
            committed is lost.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        super().__init__(path, readonly=readonly)
        self._codec = Codec()
        self._waiting: list[tuple[Attempt, _Row, list[_Row]]] = []
        """Attempts that are not written yet, with their rows and those of their turns, which lack the id."""

    # -- attempts

    def add(self, attempt: Attempt) -> None:
        """Store an attempt with its calls, whole or not at all; every later read of this store finds it.

        With `commit_later` those that end at the same time are written together, a quarter cheaper than one
        by one. A value that is no finite number makes it an `infra_error`; metrics that are none go to its
        note. A late second attempt at an item that has its final one is kept, but not final.

        Args:
            attempt: what was played; its note gets what was changed to store it.
        """
        self._refuse_after_failure()
        _refuse_non_numbers(attempt)
        row = self._episode_row(attempt, final=attempt.outcome != "infra_error")
        self._waiting.append((attempt, row, list(self._codec.rows(attempt.calls))))
        self._commit_soon()

    def _write_waiting(self) -> None:
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        if self._failed is not None:
            return  # they are played again, as what the failed commit held
        try:
            self._insert_together(waiting)
        except sqlite3.Error as error:
            self._fail(error)

    def _insert_together(self, waiting: Sequence[tuple[Attempt, _Row, list[_Row]]]) -> None:
        db = self._db
        if not db.in_transaction:
            db.execute("BEGIN IMMEDIATE")  # so that it waits for another writer, as a statement alone does
        db.execute("SAVEPOINT together")
        (newest,) = db.execute(_NEWEST).fetchone()
        numbered = list(enumerate(waiting, newest + 1))
        try:
            db.executemany(_INSERT, [(number, *row) for number, (_, row, _) in numbered])
            db.executemany(
                _INSERT_TURN, [(number, *turn) for number, (_, _, turns) in numbered for turn in turns]
            )
        except sqlite3.IntegrityError:  # one is late
            db.execute("ROLLBACK TO together")
            for attempt, row, turns in waiting:
                self._insert_alone(attempt, row, turns)
        db.execute("RELEASE together")

    def _insert_alone(self, attempt: Attempt, row: _Row, turns: Sequence[_Row]) -> None:
        try:
            number = self._db.execute(_INSERT, (None, *row)).lastrowid
        except sqlite3.IntegrityError:
            _note(attempt, "late: another attempt was final already", " ")
            late = self._episode_row(attempt, final=False)
            number = self._db.execute(_INSERT, (None, *late)).lastrowid
        self._db.executemany(_INSERT_TURN, [(number, *turn) for turn in turns])

    def _episode_row(self, a: Attempt, *, final: bool) -> tuple[Any, ...]:
        text, integer, real = plain.text, plain.integer, plain.real
        pending = self._codec.pack_json(_pending_json(a.pending)) if a.pending is not None else None
        last = self._codec.pack_last(a.last, a.calls) if a.last is not None else None
        return (
            text(a.task), integer(a.version), text(a.sample), integer(a.repeat), int(final), a.outcome,
            a.value, plain.column(a.metrics), text(a.note), text(a.error),
            sum(not call.role for call in a.calls), integer(a.prompt_tokens), integer(a.output_tokens),
            integer(a.rebuilds), real(a.started), real(a.seconds), pending,
            plain.column(a.labels) if a.labels else "{}", text(a.cluster),
            text(a.answer[:ANSWER_CHARACTERS]), text(a.target[:ANSWER_CHARACTERS]), last,
        )  # fmt: skip

    def attempts(self, *, final_only: bool = False, waiting: bool = False) -> Iterator[StoredAttempt]:
        """Stored attempts in the order they were committed.

        They are read by pages, so that a slow reader keeps no writer from folding in its log.

        Args:
            final_only: leave out those that are not final.
            waiting: only those without a value yet.
        """
        wanted = " AND final = 1" * final_only + " AND value IS NULL" * waiting
        added = "labels, cluster, answer, target" if self.version > 1 else "'{}', '', '', ''"
        query = (
            "SELECT id, task, version, sample, repeat, final, outcome, value, metrics, note, error, pending,"
            f" calls, prompt_tokens, output_tokens, seconds, {added}, started FROM episode"
            f" WHERE id > ?{wanted} ORDER BY id LIMIT {PAGE}"
        )
        last = -(1 << 63)
        while page := list(self._rows(query, (last,))):
            last = page[-1][0]
            yield from map(self._stored, page)

    def _stored(self, r: tuple[Any, ...]) -> StoredAttempt:
        pending = _pending(self._codec.unpack_json(r[11])) if r[11] is not None else None
        labels: dict[str, str] = {} if r[16] == "{}" else json.loads(r[16])
        return StoredAttempt(
            r[0], EpisodeKey(*r[1:5]), bool(r[5]), r[6], r[7], json.loads(r[8]), r[9], r[10], pending,
            r[12], r[13], r[14], r[15], labels, r[17], r[18], r[19], r[20],
        )  # fmt: skip

    def progress(self) -> dict[str, tuple[int, int, int]]:
        """How many items of each task are planned, have their final attempt, and have only failed."""
        return {row[0]: row[1:] for row in self._rows(_PROGRESS)}

    def counts(self) -> tuple[int, int]:
        """How many items have their final attempt, and how many are planned."""
        (ended,) = self._first("SELECT COUNT(*) FROM episode WHERE final = 1")
        (planned,) = self._first("SELECT COUNT(*) FROM plan")
        return ended, planned

    def final_items(self) -> set[EpisodeKey]:
        """Items that have their final attempt."""
        query = "SELECT task, version, sample, repeat FROM episode WHERE final = 1"
        return {EpisodeKey(*row) for row in self._rows(query)}

    def calls(self, episode: int, role: str = "") -> list[CallRecord]:
        """Calls of one attempt with their prompts put together again; those of version 1 have no turns."""
        values = (episode, plain.text(role))
        if "turn" in self.tables:
            query = f"SELECT {_TURN} FROM turn WHERE episode = ? AND role = ? ORDER BY n"
            if found := self._codec.records(self._rows(query, values)):
                return found
        if "call" not in self.tables:
            return []
        query = "SELECT * FROM call WHERE episode = ? AND role = ? ORDER BY n"
        return self._codec.records_of_version_1(self._rows(query, values))

    def all_calls(self, episode: int) -> list[CallRecord]:
        """All calls in the order they were made; in version 1, which kept no order, roles come last."""
        places: list[tuple[str, int]] = []
        if "turn" in self.tables:
            places = list(self._rows("SELECT role, n FROM turn WHERE episode = ? ORDER BY rowid", (episode,)))
        if not places and "call" in self.tables:
            query = "SELECT role, n FROM call WHERE episode = ? ORDER BY role, n"
            places = list(self._rows(query, (episode,)))
        roles = {role for role, _ in places}
        found = {role: {call.n: call for call in self.calls(episode, role)} for role in roles}
        return [found[role][n] for role, n in places]

    def last(self, episode: int) -> Turn | None:
        """What an attempt's environment showed after the last reply; None when that is not known."""
        if self.version < 2:
            return None
        found = self._first("SELECT last FROM episode WHERE id = ?", (episode,))
        if not found or found[0] is None:
            return None
        calls = self.calls(episode)
        return self._codec.unpack_last(found[0], calls[-1] if calls else None)

    def value_pending(self, episode: int, value: float, metrics: Mapping[str, float], note: str) -> None:
        """Give a judged episode its value; its verdicts stay as rows."""
        kept, lost = plain.numbers(metrics)
        note = "; ".join(part for part in (note, lost) if part)
        with self._writing() as db:
            db.execute(
                "UPDATE episode SET value = ?, metrics = ?, note = ? WHERE id = ?",
                (value, plain.column(kept), plain.text(note), episode),
            )

    # -- verdicts

    def put_verdict(self, episode: int, key: str, k: int, judge: str, prompt: str, text: str) -> None:
        """Commit one verdict in place of the judge's earlier one; `prompt` is the hash it is cached under."""
        names = plain.text(key), k, plain.text(judge), plain.text(prompt)
        with self._writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO verdict VALUES(?,?,?,?,?,?)",
                (episode, *names, self._codec.pack(text)),
            )

    def verdicts(self, episode: int, judge: str) -> dict[tuple[str, int], str]:
        """A judge's verdicts on one episode by (key, k)."""
        query = "SELECT key, k, text FROM verdict WHERE episode = ? AND judge = ? ORDER BY key, k"
        rows = self._rows(query, (episode, plain.text(judge)))
        return {(key, k): self._codec.unpack(blob) for key, k, blob in rows}

    def cached_verdict(self, judge: str, prompt: str, k: int) -> str | None:
        """The text the same judge gave to the same prompt as its k-th answer, if any."""
        query = "SELECT text FROM verdict WHERE judge = ? AND prompt = ? AND k = ? LIMIT 1"
        found = self._first(query, (plain.text(judge), plain.text(prompt), k))
        return self._codec.unpack(found[0]) if found else None


def _refuse_non_numbers(attempt: Attempt) -> None:
    """Turn a value that is no number into a failure: SQLite stores NaN as NULL, which means "waits"."""
    if attempt.value is not None and not plain.is_number(attempt.value):
        attempt.error = f"{attempt.error}\nthe episode's value is no number: {attempt.value!r:.100}".strip()
        attempt.outcome, attempt.value = "infra_error", None
    attempt.metrics, lost = plain.numbers(attempt.metrics)
    _note(attempt, lost, "; ")


def _note(attempt: Attempt, words: str, between: str) -> None:
    attempt.note = between.join(part for part in (attempt.note, words) if part)


def _pending_json(pending: Pending) -> dict[str, Any]:
    from dataclasses import asdict

    data = asdict(pending)
    for item in data["items"]:
        item["key"] = plain.text(item["key"])  # verdicts are found by it
    if data["partial"] is not None:
        data["partial"]["metrics"], lost = plain.numbers(data["partial"]["metrics"])
        data["partial"]["note"] = "; ".join(part for part in (data["partial"]["note"], lost) if part)
    return data


def _pending(data: dict[str, Any]) -> Pending:
    from msgspec import convert

    return convert(data, Pending)
