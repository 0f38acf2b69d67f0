"""One SQLite file per run: every attempt is a row, exactly one attempt per item may be final."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.bodies import Bodies
from harness.errors import StoreError
from harness.types import JudgeAsk, Outcome, Pending, Row

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
CREATE INDEX IF NOT EXISTS by_item ON episode(task, version, sample, repeat);
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


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One request as it was sent and answered.

    Attributes:
        role: empty for the model under test, else the auxiliary role.
        key: the auxiliary call's key; for the model under test the call's number.
        info: the episode's log of what it did with the reply.
    """

    n: int
    prompt: str
    reply: str
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])
    role: str = ""
    key: str = ""


@dataclass(slots=True)
class Attempt:
    """One attempt at one item, ready to be stored."""

    task: str
    version: int
    sample: str
    repeat: int
    outcome: Outcome = "infra_error"
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    note: str = ""
    error: str = ""
    calls: list[CallRecord] = field(default_factory=list[CallRecord])
    rebuilds: int = 0
    started: float = field(default_factory=time.time)
    seconds: float = 0.0
    pending: Pending | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """Identity of one planned episode."""

    task: str
    version: int
    sample: str
    repeat: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored attempt without its calls."""

    id: int
    item: Item
    final: bool
    outcome: Outcome
    value: float | None
    metrics: Mapping[str, float]
    note: str
    error: str
    pending: Pending | None
    calls: int
    prompt_tokens: int
    output_tokens: int
    seconds: float

    def row(self) -> Row:
        """View a counted, valued attempt as `aggregate` wants it."""
        if self.value is None:
            raise ValueError(f"{self.item} has no value yet")
        return Row(self.item.sample, self.item.repeat, self.outcome, self.value, self.metrics)


class Store:
    """The run's file. All methods are synchronous and short; writers call from one thread.

    Raises:
        StoreError: the file cannot be opened or written (disk full, read-only); nothing committed is lost.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self._bodies = Bodies()
        try:
            if readonly:
                self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._db = sqlite3.connect(path, timeout=30)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._db.executescript(SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"cannot open the run's store {path}: {error}") from error

    def close(self) -> None:
        """Close the file; the WAL is folded in."""
        self._db.close()

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        try:
            with self._db:
                yield self._db
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot write the run's store {self.path}: {error}; make room or make it writable, "
                "then repeat the same command"
            ) from error

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
