"""One SQLite file per run: every attempt is a row, exactly one attempt per item may be final."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.attempts import Attempt, CallRecord, Item, Stored
from harness.bodies import Bodies
from harness.errors import StoreError
from harness.types import JudgeAsk, Pending

__all__ = ["Attempt", "CallRecord", "Item", "Store", "Stored"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS plan(
  task TEXT NOT NULL, version INTEGER NOT NULL, sample TEXT NOT NULL, repeat INTEGER NOT NULL,
  PRIMARY KEY(task, version, sample, repeat)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS episode(
  id INTEGER PRIMARY KEY, task TEXT NOT NULL, version INTEGER NOT NULL, sample TEXT NOT NULL,
  repeat INTEGER NOT NULL, final INTEGER NOT NULL, outcome TEXT NOT NULL, value REAL,
  metrics TEXT NOT NULL, note TEXT NOT NULL, error TEXT NOT NULL, calls INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, rebuilds INTEGER NOT NULL,
  started REAL NOT NULL, seconds REAL NOT NULL, pending BLOB);
CREATE UNIQUE INDEX IF NOT EXISTS one_final ON episode(task, version, sample, repeat) WHERE final = 1;
CREATE TABLE IF NOT EXISTS call(
  episode INTEGER NOT NULL REFERENCES episode(id), role TEXT NOT NULL, n INTEGER NOT NULL,
  key TEXT NOT NULL, parent INTEGER, prefix INTEGER NOT NULL, tail BLOB NOT NULL, reply BLOB NOT NULL,
  facts BLOB NOT NULL, info BLOB NOT NULL, PRIMARY KEY(episode, role, n)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verdict(
  episode INTEGER NOT NULL REFERENCES episode(id), key TEXT NOT NULL, k INTEGER NOT NULL,
  judge TEXT NOT NULL, prompt TEXT NOT NULL, text BLOB NOT NULL,
  PRIMARY KEY(episode, key, k, judge)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_prompt ON verdict(judge, prompt, k);
"""


class Store:
    """The run's file. All methods are synchronous and short; writers call from one thread.

    Raises:
        StoreError: the file cannot be opened or written (disk full, read-only); nothing committed is lost.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self._bodies = Bodies()
        self._schedule: Callable[[Callable[[], None]], object] | None = None
        self._due = False
        self._failed: sqlite3.Error | None = None
        try:
            if readonly:
                self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._db = sqlite3.connect(path, timeout=30)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._db.execute(
                    "PRAGMA wal_autocheckpoint=8000"
                )  # 32 MB: folding in costs more than commits
                self._db.executescript(SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"cannot open the run's store {path}: {error}") from error

    def close(self) -> None:
        """Commit what is due and close the file; the WAL is folded in."""
        self._commit()
        self._db.close()

    def commit_later(self, schedule: Callable[[Callable[[], None]], object]) -> None:
        """Commit together what is written in one turn of an event loop, at its end.

        `schedule` is the loop's `call_soon`. Episodes that end in the same instant then share a commit, which
        costs more than everything else about storing them; each is still stored whole or not at all.
        """
        self._schedule = schedule

    def flush(self) -> None:
        """Commit what is due.

        Raises:
            StoreError: this or an earlier commit failed; what it held is played again by the next command.
        """
        self._commit()
        if self._failed is not None:
            raise self._error(self._failed) from self._failed

    def _commit(self) -> None:
        self._due = False
        try:
            self._db.commit()
        except sqlite3.Error as error:
            self._failed = error
            self._db.rollback()

    def _error(self, error: sqlite3.Error) -> StoreError:
        return StoreError(
            f"cannot write the run's store {self.path}: {error}; make room or make it writable, "
            "then repeat the same command"
        )

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        if self._failed is not None:
            raise self._error(self._failed) from self._failed
        try:
            yield self._db
        except sqlite3.IntegrityError:
            raise  # only this statement is undone
        except sqlite3.Error as error:
            self._failed = error
            self._db.rollback()
            raise self._error(error) from error
        if self._schedule is None:
            self.flush()
        elif not self._due:
            self._due = True
            self._schedule(self._commit)

    # -- meta and plan

    def set_meta(self, key: str, value: Any) -> None:
        """Store one JSON value (the manifest, say) under a key."""
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (key, json.dumps(value, sort_keys=True)))

    def meta(self, key: str) -> Any:
        """Read a JSON value, None when it was never set."""
        found = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return json.loads(found[0]) if found else None

    def plan(self, items: Sequence[Item]) -> None:
        """Record what the run is to do; repeating it changes nothing."""
        with self._writing() as db:
            rows = [(i.task, i.version, i.sample, i.repeat) for i in items]
            db.executemany("INSERT OR IGNORE INTO plan VALUES(?, ?, ?, ?)", rows)

    def planned(self) -> list[Item]:
        """Everything planned, in no particular order."""
        return [Item(*row) for row in self._db.execute("SELECT task, version, sample, repeat FROM plan")]

    # -- attempts

    def add(self, attempt: Attempt) -> bool:
        """Commit an attempt with its calls in one transaction.

        Returns:
            Whether it became the item's final attempt; a late second one is kept, but not final.
        """
        final = attempt.outcome != "infra_error"
        try:
            self._insert(attempt, final=final)
        except sqlite3.IntegrityError:
            attempt.note = (attempt.note + " late: another attempt was final already").strip()
            self._insert(attempt, final=False)
            return False
        return final

    def _insert(self, attempt: Attempt, *, final: bool) -> None:
        a = attempt
        pending = self._bodies.pack_json(_pending_json(a.pending)) if a.pending is not None else None
        with self._writing() as db:
            cursor = db.execute(
                "INSERT INTO episode(task, version, sample, repeat, final, outcome, value, metrics, note,"
                " error, calls, prompt_tokens, output_tokens, rebuilds, started, seconds, pending)"
                " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    a.task, a.version, a.sample, a.repeat, int(final), a.outcome, a.value,
                    json.dumps(dict(a.metrics)), _printable(a.note), _printable(a.error),
                    sum(not call.role for call in a.calls),
                    a.prompt_tokens, a.output_tokens, a.rebuilds, a.started, a.seconds, pending,
                ),
            )  # fmt: skip
            db.executemany(
                "INSERT INTO call VALUES(?,?,?,?,?,?,?,?,?,?)", self._bodies.rows(cursor.lastrowid, a.calls)
            )

    def attempts(self, *, final_only: bool = False) -> Iterator[Stored]:
        """Stored attempts in the order they were committed."""
        where = " WHERE final = 1" if final_only else ""
        query = (
            "SELECT id, task, version, sample, repeat, final, outcome, value, metrics, note, error, pending,"
            f" calls, prompt_tokens, output_tokens, seconds FROM episode{where} ORDER BY id"
        )
        for r in self._db.execute(query):
            pending = _pending(self._bodies.unpack_json(r[11])) if r[11] is not None else None
            yield Stored(
                r[0], Item(*r[1:5]), bool(r[5]), r[6], r[7], json.loads(r[8]), r[9], r[10], pending, *r[12:]
            )

    def final_items(self) -> set[Item]:
        """Items that have their final attempt."""
        query = "SELECT task, version, sample, repeat FROM episode WHERE final = 1"
        return {Item(*row) for row in self._db.execute(query)}

    def calls(self, episode: int, role: str = "") -> list[CallRecord]:
        """Calls of one attempt with their prompts put together again."""
        query = "SELECT * FROM call WHERE episode = ? AND role = ? ORDER BY n"
        return self._bodies.records(self._db.execute(query, (episode, role)))

    def value_pending(self, episode: int, value: float, metrics: Mapping[str, float], note: str) -> None:
        """Give a judged episode its value; its verdicts stay as rows."""
        with self._writing() as db:
            db.execute(
                "UPDATE episode SET value = ?, metrics = ?, note = ? WHERE id = ?",
                (value, json.dumps(dict(metrics)), note, episode),
            )

    # -- verdicts

    def put_verdict(self, episode: int, key: str, k: int, judge: str, prompt: str, text: str) -> None:
        """Commit one verdict; `prompt` is the hash it is cached under."""
        with self._writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO verdict VALUES(?,?,?,?,?,?)",
                (episode, key, k, judge, prompt, self._bodies.pack(text)),
            )

    def verdicts(self, episode: int, judge: str) -> dict[tuple[str, int], str]:
        """A judge's verdicts on one episode by (key, k)."""
        query = "SELECT key, k, text FROM verdict WHERE episode = ? AND judge = ? ORDER BY key, k"
        return {(key, k): self._bodies.unpack(t) for key, k, t in self._db.execute(query, (episode, judge))}

    def cached_verdict(self, judge: str, prompt: str, k: int) -> str | None:
        """The text the same judge gave to the same prompt as its k-th answer, if any."""
        query = "SELECT text FROM verdict WHERE judge = ? AND prompt = ? AND k = ? LIMIT 1"
        found = self._db.execute(query, (judge, prompt, k)).fetchone()
        return self._bodies.unpack(found[0]) if found else None


def _printable(text: str) -> str:
    """SQLite refuses lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _pending_json(pending: Pending) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(pending)


def _pending(data: dict[str, Any]) -> Pending:
    from msgspec import convert

    items = tuple(convert(item, JudgeAsk) for item in data["items"])
    return Pending(items, data["note"], data["outcome"])
