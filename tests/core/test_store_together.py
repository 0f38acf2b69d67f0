"""Attempts that are written together: every read finds them, and each is stored as if added alone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from store_adding import added

from harness.errors import StoreError
from harness.storage.records import Turn
from harness.storage.store import Attempt, CallRecord, EpisodeKey, Store
from harness.storage.store_file import MOST_TOGETHER, TOGETHER_S
from harness.types import Message


def attempt(sample: str, outcome: str = "scored", calls: int = 1) -> Attempt:
    turns = [Turn((Message("user", f"question {n} of {sample}"),)) for n in range(calls)]
    made = [CallRecord(n, f"prompt {n} of {sample}", f"reply {n}", turn=turn) for n, turn in enumerate(turns)]
    value = 1.0 if outcome == "scored" else None
    return Attempt("t", 1, sample, 0, outcome=outcome, value=value, calls=made)  # type: ignore[arg-type]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with closing(asyncio.new_event_loop()) as made:
        yield made


@pytest.fixture
def store(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> Iterator[Store]:
    with closing(Store(tmp_path / "run.sqlite")) as opened:
        opened.commit_later(loop)
        yield opened


def committed(path: Path) -> list[str]:
    """Samples that another connection finds."""
    with closing(sqlite3.connect(path)) as other:
        return [sample for (sample,) in other.execute("SELECT sample FROM episode ORDER BY id")]


def test_they_are_stored_as_if_added_one_by_one(store: Store, tmp_path: Path):
    mixed = [attempt("a", calls=3), attempt("b", "infra_error", calls=0), attempt("c", calls=2)]
    with closing(Store(tmp_path / "alone.sqlite")) as alone:
        for one in mixed:
            alone.add(one)
            store.add(one)
        rows, wanted = list(store.attempts()), list(alone.attempts())
        assert rows == wanted
        assert [store.all_calls(row.id) for row in rows] == [alone.all_calls(row.id) for row in wanted]


def test_every_read_and_write_of_the_same_store_finds_them(store: Store):
    store.plan([EpisodeKey("t", 1, "a", 0)])
    store.add(attempt("a"))
    assert store.counts() == (1, 1)
    store.add(attempt("b", "infra_error"))
    assert store.begun(EpisodeKey("t", 1, "b", 0))
    store.add(attempt("c"))
    assert added(store, attempt("c")) is False
    assert [(row.item.sample, row.final) for row in store.attempts()] == [
        ("a", True), ("b", False), ("c", True), ("c", False),
    ]  # fmt: skip


def test_a_late_one_among_them_is_kept_and_not_final(store: Store):
    store.add(attempt("b"))
    store.flush()
    for sample in "abcc":
        store.add(attempt(sample))
    rows = list(store.attempts())
    assert [(row.item.sample, row.final) for row in rows] == [
        ("b", True), ("a", True), ("b", False), ("c", True), ("c", False),
    ]  # fmt: skip
    assert ["late" in row.note for row in rows] == [not row.final for row in rows]
    assert all(len(store.calls(row.id)) == 1 for row in rows)


def test_they_are_committed_by_the_loop_by_their_number_and_by_a_flush(
    store: Store, loop: asyncio.AbstractEventLoop
):
    store.add(attempt("a"))
    assert committed(store.path) == []
    store.flush()
    assert committed(store.path) == ["a"]
    for n in range(MOST_TOGETHER):
        store.add(attempt(str(n)))
    assert len(committed(store.path)) == 1 + MOST_TOGETHER
    store.add(attempt("b"))

    async def later() -> None:
        over = asyncio.Event()
        loop.call_later(2 * TOGETHER_S, over.set)
        await over.wait()

    assert committed(store.path)[-1] != "b"
    loop.run_until_complete(later())
    assert committed(store.path)[-1] == "b"


def test_without_a_loop_each_is_committed_at_once(tmp_path: Path):
    with closing(Store(tmp_path / "run.sqlite")) as store:
        store.add(attempt("a"))
        assert committed(store.path) == ["a"]


WRITES = {
    "another": lambda store: store.add(attempt("d")),
    "beat": lambda store: store.beat({}),
    "flush": Store.flush,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_full_file_is_told_by_the_next_write_and_keeps_what_was_committed(
    tmp_path: Path, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, write
):
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: opened.append(connect(*a, **k)) or opened[-1])
    store = Store(tmp_path / "run.sqlite")
    monkeypatch.undo()
    store.commit_later(loop)
    store.add(attempt("a"))
    store.flush()
    (pages,) = opened[0].execute("PRAGMA page_count").fetchone()
    opened[0].execute(f"PRAGMA max_page_count = {pages}")
    for n in range(MOST_TOGETHER - 1):
        store.add(attempt(f"b{n}", calls=40))
    assert [row.item.sample for row in store.attempts()] == ["a"]
    with pytest.raises(StoreError, match=r"cannot write the run's store .* full"):
        write(store)
    store.close()
    assert committed(store.path) == ["a"]
