"""Web answers in SQLite: a cache that expires, or a snapshot that is recorded once and then replayed.

A snapshot is one file, whose `meta` table holds the SHA-256 over all answers. A file without the hash is an
unfinished recording, one with a wrong hash is corrupt; neither is replayed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from harness.errors import DataError, MissingPart, MissingRecord
from tasks._shared.web import Answer

log = logging.getLogger(__name__)

FORMAT = "agenttuning-harness answers 1"
Mode = Literal["live", "cache", "record", "replay"]
Question = Mapping[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, service TEXT NOT NULL, request TEXT NOT NULL,
    status INTEGER NOT NULL, body BLOB NOT NULL, fetched REAL NOT NULL, expires REAL
);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Answers:
    """Answers by question, which is any JSON object; the same question at the same time is asked once.

    Args:
        mode: `live` stores nothing; `cache` reads and writes; `record` also writes the hash on close;
            `replay` only reads and sends no request.
        path: the SQLite file; none when live.
    """

    def __init__(self, mode: Mode, path: Path | None = None) -> None:
        self.mode = mode
        self.hits = self.misses = self.asked = 0
        self._pending: dict[str, _PendingRequest] = {}
        self._file: sqlite3.Connection | None = None
        self._digest = ""
        if mode == "live":
            return
        if path is None:
            raise MissingPart(f"mode {mode} needs a file: set the task's `snapshot` option to its path")
        self._file = _open_sealed(path) if mode == "replay" else _open_growing(path, mode)
        self._digest = _meta(self._file, "sha256")

    async def get(
        self,
        question: Question,
        ask: Callable[[], Awaitable[Answer]],
        *,
        lifetime: Callable[[Answer], float | None] = lambda answer: None,
    ) -> Answer:
        """Answer from the file, or send the request and store the answer.

        Args:
            question: everything that determines the answer, a `service` included, and no secret; its hash is
                the key.
            ask: sends the request; an exception of it is not stored.
            lifetime: seconds for which a cached answer is valid, None for no limit; a snapshot's have no
                limit.

        Raises:
            MissingRecord: in a replay, the snapshot has no such answer.
            DataError: the question is not JSON.
        """
        key = question_key(question)
        if kept := self._kept(key):
            self.hits += 1
            return kept
        if self.mode == "replay":
            self.misses += 1
            raise MissingRecord(f"the snapshot has no answer to {_canonical(question)[:200]}")
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _PendingRequest(self._ask(key, question, ask, lifetime))
        try:
            return await pending.wait()
        finally:
            if pending.finished and self._pending.get(key) is pending:
                del self._pending[key]

    def describe(self) -> Mapping[str, str]:
        """Mode, number of answers and snapshot hash, for the manifest."""
        if self._file is None:
            return {"web": self.mode}
        count = self._file.execute("SELECT count(*) FROM answers").fetchone()[0]
        facts = {"web": self.mode, "web_answers": str(count)}
        return {**facts, "web_sha256": self._digest} if self.mode == "replay" else facts

    def close(self) -> None:
        """Write the hash of a recording, and close the file."""
        if self._file is None:
            return
        if self.mode == "record":
            self._digest = seal(self._file)
            log.info("recorded answers sealed with sha256 %s", self._digest)
        self._file.close()
        self._file = None

    async def _ask(
        self,
        key: str,
        question: Question,
        ask: Callable[[], Awaitable[Answer]],
        lifetime: Callable[[Answer], float | None],
    ) -> Answer:
        self.asked += 1
        answer = await ask()
        if self._file is not None:
            stays = lifetime(answer) if self.mode == "cache" else None
            now = time.time()
            self._file.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    key,
                    str(question.get("service", "")),
                    _canonical(question),
                    answer.status,
                    zlib.compress(answer.body),
                    now,
                    None if stays is None else now + stays,
                ),
            )
        return answer

    def _kept(self, key: str) -> Answer | None:
        if self._file is None:
            return None
        row = self._file.execute(
            "SELECT status, body FROM answers WHERE key = ? AND (expires IS NULL OR expires > ?)",
            (key, time.time() if self.mode == "cache" else 0.0),
        ).fetchone()
        return Answer(row[0], zlib.decompress(row[1])) if row else None


class _PendingRequest:
    """A request that was sent, with the number of its waiters; it is cancelled when there are none."""

    def __init__(self, work: Awaitable[Answer]) -> None:
        self._task = asyncio.ensure_future(work)
        self._waiting = 0

    @property
    def finished(self) -> bool:
        return self._task.done() or self._waiting == 0

    async def wait(self) -> Answer:
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if self._waiting == 0 and not self._task.done():
                self._task.cancel()


def question_key(question: Question) -> str:
    """Hash a question; the order of its keys does not matter.

    Raises:
        DataError: it is not JSON.
    """
    return hashlib.sha256(_canonical(question).encode("utf-8", "surrogatepass")).hexdigest()


def seal(file: sqlite3.Connection) -> str:
    """Write the hash over all answers into a recording, and merge SQLite's log into the file."""
    digest = content_hash(file)
    dates = file.execute("SELECT count(*), min(fetched), max(fetched) FROM answers").fetchone()
    facts = {"sha256": digest, "count": dates[0], "first": dates[1] or 0, "last": dates[2] or 0}
    file.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(k, str(v)) for k, v in facts.items()])
    # Another shard may still write: the log then stays until that one closes the file.
    with suppress(sqlite3.OperationalError):
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        file.execute("PRAGMA journal_mode=DELETE")
    return digest


def content_hash(file: sqlite3.Connection) -> str:
    """Hash every answer in the order of its key, without its times."""
    digest = hashlib.sha256()
    for key, request, status, body in file.execute(
        "SELECT key, request, status, body FROM answers ORDER BY key"
    ):
        named = hashlib.sha256(str(request).encode("utf-8", "surrogatepass")).hexdigest()
        inner = hashlib.sha256(zlib.decompress(body)).hexdigest()
        digest.update(f"{key} {named} {status} {inner}\n".encode())
    return digest.hexdigest()


def _canonical(question: Question) -> str:
    try:
        return json.dumps(question, ensure_ascii=True, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"a question to a recording must be JSON: {error}") from error


def _open_growing(path: Path, mode: Mode) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = sqlite3.connect(path, isolation_level=None, timeout=10.0, check_same_thread=False)
        file.execute("PRAGMA journal_mode=WAL")
        file.execute("PRAGMA synchronous=NORMAL")
        file.executescript(_SCHEMA)
    except sqlite3.Error as error:
        raise DataError(f"{path} is not a file of web answers: {error}; name another one") from error
    file.execute("INSERT OR IGNORE INTO meta VALUES ('format', ?)", (FORMAT,))
    if _meta(file, "format") != FORMAT:
        raise DataError(
            f"{path} is of format {_meta(file, 'format')!r}, this version reads {FORMAT!r}: name another file"
        )
    if mode == "record":
        file.execute("DELETE FROM meta WHERE name = 'sha256'")
    return file


def _open_sealed(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise MissingPart(f"no snapshot at {path}: record one first (record instead of replay)")
    try:
        file = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        pinned, form = _meta(file, "sha256"), _meta(file, "format")
        found = content_hash(file) if pinned else ""
    except (sqlite3.Error, zlib.error) as error:
        raise DataError(
            f"{path} is not a readable snapshot: {error}; record it again or get another copy"
        ) from error
    if form != FORMAT:
        raise DataError(f"{path} is of format {form!r}, this version reads {FORMAT!r}: record it again")
    if not pinned:
        raise DataError(f"{path} is an unfinished recording: run it again with record")
    if found != pinned:
        raise DataError(f"{path} has content {found}, but was sealed as {pinned}; get the snapshot again")
    return file


def _meta(file: sqlite3.Connection, name: str) -> str:
    row = file.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else ""
