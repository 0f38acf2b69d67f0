"""What a store keeps of a run beside attempts: commands, the heartbeat, and what has begun."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StoreError
from harness.storage.store import Attempt, EpisodeKey, Store

ITEM = EpisodeKey("webarena", 1, "12", 0)


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(tmp_path / "run.sqlite")
    yield opened
    opened.close()


def test_every_command_is_kept_in_order(store: Store):
    store.add_command({"argv": ["run", "--new"], "environment": {"python": "3.11"}})
    store.add_command({"argv": ["judge"], "when": 12.5})
    first, second = store.commands()
    assert first["argv"] == ["run", "--new"] and first["environment"] == {"python": "3.11"}
    assert first["when"] > 1.6e9
    assert second == {"argv": ["judge"], "when": 12.5}


def test_the_heartbeat_is_one_row_that_names_its_process(store: Store, tmp_path: Path):
    assert store.heartbeat() is None
    store.beat({"live": 3, "done": 1})
    store.beat({"live": 2, "done": 2})
    reader = Store(tmp_path / "run.sqlite", readonly=True)
    beat = reader.heartbeat()
    reader.close()
    assert beat is not None
    assert (beat["pid"], beat["host"]) == (os.getpid(), socket.gethostname())
    assert (beat["live"], beat["done"]) == (2, 2)
    assert beat["started"] <= beat["now"]


def test_what_has_begun_is_known_after_a_kill(tmp_path: Path):
    path = tmp_path / "run.sqlite"
    program = f"""
import asyncio, os, signal
from pathlib import Path
from harness.storage.store import Store, EpisodeKey
store = Store(Path({str(path)!r}))
store.commit_later(asyncio.new_event_loop())  # which never runs
store.begin(EpisodeKey("webarena", 1, "12", 0))
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    store = Store(path)
    assert store.begun(ITEM)
    assert not store.begun(EpisodeKey("webarena", 1, "12", 1))
    store.begin(ITEM)
    store.close()


def test_a_failed_attempt_counts_as_begun_and_a_good_one_does_not(store: Store):
    store.add(Attempt(ITEM.task, ITEM.version, ITEM.sample, 0, outcome="infra_error", error="gone"))
    store.add(Attempt(ITEM.task, ITEM.version, ITEM.sample, 1, outcome="scored", value=1.0))
    assert store.begun(ITEM)
    assert not store.begun(EpisodeKey(ITEM.task, ITEM.version, ITEM.sample, 1))


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Store, sqlite3.Connection]]:
    """A store, and the connection that it opened."""
    made: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def kept(*words: Any, **more: Any) -> sqlite3.Connection:
        made.append(connect(*words, **more))
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", kept)
    with closing(Store(tmp_path / "kept.sqlite")) as store:
        (db,) = made
        yield store, db


def test_asking_whether_an_item_has_begun_reads_no_other_rows(connection: tuple[Store, sqlite3.Connection]):
    """It is asked before every attempt: a scan of all attempts would make a run quadratic."""
    store, db = connection
    seen: list[str] = []
    db.set_trace_callback(seen.append)
    store.begun(ITEM)
    db.set_trace_callback(None)
    plans = [row[3] for query in seen for row in db.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert len(plans) == 2
    assert all(plan.startswith("SEARCH") for plan in plans), plans


def test_a_failed_write_is_told_by_begin(connection: tuple[Store, sqlite3.Connection]):
    store, db = connection
    db.execute("PRAGMA query_only = 1")
    with pytest.raises(StoreError, match="cannot write the run's store"):
        store.begin(ITEM)
