"""Full-text search in a run: an index in a temporary file, built when it is first asked for."""

from __future__ import annotations

import re
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UsageError
from harness.models import outside
from harness.storage.codec import shared_prefix
from harness.storage.records import CallRecord
from harness.storage.scratch import scratch
from harness.view.run_view import RunView

CHARACTERS = 200_000
"""Of longer texts only the start can be found."""
TOGETHER = 1_000
"""Attempts that are indexed by one commit."""
SHIFT = 20
"""A row's number is the attempt's id times 2 to this, plus the call's place in it."""
END_S = 10.0

_WORD = re.compile(r'"([^"]*)"|([^\s"]+)')


class TextIndex:
    """A full-text index of one run's prompts and replies, and what each attempt did last.

    The store stays as it is: the index lies in a folder of its own under the system's temporary folder, and
    `close` removes it. Texts of private tasks are not in it.

    Args:
        path: the run's store.
    """

    def __init__(self, path: Path) -> None:
        self._store = path
        self._folder = ExitStack()
        self.path = self._folder.enter_context(scratch("harness-view-")) / "index.sqlite"
        with closing(sqlite3.connect(self.path)) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("CREATE VIRTUAL TABLE words USING fts5(prompt, reply, content='')")
            db.execute("CREATE TABLE ends(id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._last = 0
        self._wanted = 0
        self._error = ""

    def close(self) -> None:
        """End the building and remove the index."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(END_S)
        self._folder.close()

    def catch_up(self, newest: int) -> None:
        """Index what is not yet, up to an attempt's id, in a thread.

        Raises:
            UsageError: an earlier try failed.
        """
        if self._error:
            raise UsageError(f"no text search: {self._error}")
        self._wanted = newest
        if self._last < newest and not (self._thread and self._thread.is_alive()):
            self._thread = threading.Thread(target=self._build, name="text index", daemon=True)
            self._thread.start()

    @property
    def state(self) -> dict[str, Any]:
        """How far the index is: the last attempt in it, and the last one of the run."""
        return {"done": self._last, "of": self._wanted}

    def _build(self) -> None:
        try:
            with closing(sqlite3.connect(self.path)) as db, closing(RunView(self._store)) as run:
                while not self._stop.is_set() and self._last < self._wanted:
                    last = run.next_ids(self._last, TOGETHER)
                    for id, task in last:
                        if task not in run.private and not self._stop.is_set():
                            _add(db, run, id, task)
                    db.commit()
                    self._last = last[-1][0] if last else self._wanted
        except (sqlite3.Error, HarnessError, OSError) as error:
            self._error = outside.line(f"{error}; make room in {tempfile.gettempdir()}, then view again")


def _add(db: sqlite3.Connection, run: RunView, id: int, task: str) -> None:
    """Index one attempt."""
    calls = run.all_calls(id)
    db.executemany("INSERT INTO words(rowid, prompt, reply) VALUES(?, ?, ?)", _texts(id, calls))
    logged = [call.info for call in calls if not call.role]
    end = run.end(id, task, logged[-1] if logged else None)
    db.execute("INSERT INTO ends VALUES(?, ?)", (id, end))


def _texts(id: int, calls: Sequence[CallRecord]) -> Iterator[tuple[int, str, str]]:
    """What is new in each prompt of an attempt, and each reply."""
    before: dict[str, str] = {}
    for place, call in enumerate(calls):
        shared = shared_prefix(before.get(call.role, ""), call.prompt)
        before[call.role] = call.prompt
        new = outside.paired(call.prompt[shared : shared + CHARACTERS])
        yield (id << SHIFT) + place, new, outside.paired(call.reply[:CHARACTERS])


def hits(words: str, where: str = "") -> str:
    """SQL of the ids of attempts of which one call has all words; the index is attached as `found`.

    Args:
        words: as typed; words in quotes must be next to each other, and `*` ends a prefix.
        where: `prompt` or `reply`; empty means both.

    Raises:
        UsageError: another place, or no word.
    """
    if where not in ("", "prompt", "reply"):
        raise UsageError(f"where {where}: choose prompt or reply")
    terms: list[str] = []
    for found in _WORD.finditer(words[:1000]):
        text = found[1] if found[1] is not None else found[2]
        star = "*" if found[2] is not None and text.endswith("*") and len(text) > 2 else ""
        if text.strip("* "):
            terms.append(f'"{outside.paired(text.strip("*"))}"{star}')
    if not terms:
        raise UsageError("search: give a word")
    column = f"{where} : " if where else ""
    match = f"{column}({' AND '.join(terms)})".replace("\0", " ").replace("'", "''")
    return f"SELECT rowid >> {SHIFT} FROM found.words WHERE words MATCH '{match}'"


def endings(text: str) -> str:
    """SQL of the ids of attempts whose last log has a text in it; the index is attached as `found`."""
    asked = outside.paired(text[:1000]).replace("\0", " ").replace("'", "''")
    return f"SELECT id FROM found.ends WHERE instr(text, '{asked}') > 0"
