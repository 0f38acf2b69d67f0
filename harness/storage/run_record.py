"""What a run's store keeps beside attempts: its settings, its plan, its commands and its heartbeat."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.storage import plain
from harness.storage.records import EpisodeKey
from harness.storage.store_file import StoreFile

BEAT_S = 10.0
"""Seconds between two heartbeats of a playing run; without one for several times that it may have ended."""

_ITEM = "task = ? AND version = ? AND sample = ? AND repeat = ?"


class RunRecord(StoreFile):
    """The part of the store that is about the run as a whole."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        super().__init__(path, readonly=readonly)
        self._started = time.time()

    # -- settings and plan

    def set_meta(self, key: str, value: Any) -> None:
        """Store one JSON value (the manifest, say) under a key."""
        told = plain.column(value, ordered=True)
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (plain.text(key), told))

    def meta(self, key: str) -> Any:
        """Read a JSON value, None when it was never set."""
        found = self._first("SELECT value FROM meta WHERE key = ?", (plain.text(key),))
        return json.loads(found[0]) if found else None

    def plan(self, items: Sequence[EpisodeKey]) -> None:
        """Record what the run is to do; repeating it changes nothing."""
        with self._writing() as db:
            db.executemany("INSERT OR IGNORE INTO plan VALUES(?, ?, ?, ?)", map(row_of, items))

    def planned(self) -> list[EpisodeKey]:
        """Everything planned, in no particular order."""
        return [EpisodeKey(*row) for row in self._rows("SELECT task, version, sample, repeat FROM plan")]

    # -- commands

    def add_command(self, facts: Mapping[str, Any]) -> None:
        """Append what a command that touches the run was called with and ran on; `when` is added."""
        with self._writing() as db:
            told = plain.column({"when": time.time(), **facts})
            db.execute("INSERT INTO command(facts) VALUES(?)", (told,))

    def commands(self) -> list[dict[str, Any]]:
        """Every command that touched the run, oldest first.

        Version 1 kept the environment of its newest command alone: it stands first, without the rest.
        """
        environment = self.meta("environment")
        first = [] if environment is None else [{"environment": environment}]
        if "command" not in self.tables:
            return first
        return [
            *first,
            *(json.loads(facts) for (facts,) in self._rows("SELECT facts FROM command ORDER BY id")),
        ]

    # -- heartbeat

    def beat(self, facts: Mapping[str, Any]) -> None:
        """Record that the run is alive and how far it is, in the table's only row.

        `pid`, `host`, `started` (when this store was opened) and `now` (both Unix seconds) are added to the
        facts, which replace those of the beat before.
        """
        own = {"pid": os.getpid(), "host": socket.gethostname(), "started": self._started}
        told = plain.column({**own, "now": time.time(), **facts})
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO heartbeat(id, facts) VALUES(1, ?)", (told,))

    def heartbeat(self) -> dict[str, Any] | None:
        """Facts of the newest beat; None when there was none."""
        if "heartbeat" not in self.tables:
            return None
        found = self._first("SELECT facts FROM heartbeat")
        return json.loads(found[0]) if found else None

    # -- worlds that cannot be replayed

    def begin(self, item: EpisodeKey) -> None:
        """Record, before the environment is touched, that an attempt at an item begins.

        Committed at once: the process may die before the attempt is stored.
        """
        with self._writing() as db:
            db.execute("INSERT OR IGNORE INTO begun VALUES(?, ?, ?, ?)", row_of(item))
        self.flush()

    def begun(self, item: EpisodeKey) -> bool:
        """Whether an attempt at the item has begun or failed, so that its environment may have changed."""
        failed = f"SELECT 1 FROM episode WHERE {_ITEM} AND final = 0 AND outcome = 'infra_error' LIMIT 1"
        if self._first(failed, row_of(item)):
            return True
        if "begun" not in self.tables:
            return False
        return self._first(f"SELECT 1 FROM begun WHERE {_ITEM}", row_of(item)) is not None


def row_of(item: EpisodeKey) -> tuple[str, int, str, int]:
    """The columns that identify an item."""
    return (
        plain.text(item.task),
        plain.integer(item.version),
        plain.text(item.sample),
        plain.integer(item.repeat),
    )
