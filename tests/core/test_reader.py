"""The reader: page by page, both versions of the file, beside a run that writes."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.storage import reader as reading
from harness.storage.reader import Reader, Texts
from harness.storage.store import Attempt, EpisodeKey, Store

WAVE_1 = Path(__file__).parent / "wave1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


def attempt(n, task="t", **more):
    return Attempt(task, 1, f"s{n}", 0, more.pop("outcome", "scored"), more.pop("value", 1.0), **more)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 6, 7])
def test_every_attempt_comes_once_and_in_order(path, monkeypatch, count):
    monkeypatch.setattr(reading, "PAGE", 3)
    store = Store(path)
    for n in range(count):
        store.add(attempt(n))
    store.close()
    with Reader(path) as reader:
        assert [row.sample for row in reader.episodes()] == [f"s{n}" for n in range(count)]
        assert all(len(page) <= 3 for page in reader.pages())


def test_a_task_alone_and_what_counts_alone(path, monkeypatch):
    monkeypatch.setattr(reading, "PAGE", 2)
    store = Store(path)
    for n in range(7):
        store.add(attempt(n, "ab"[n % 2]))
        store.add(attempt(n, "a", outcome="infra_error", value=None))
    store.plan([EpisodeKey("a", 1, "s0", 0), EpisodeKey("a", 1, "s2", 0), EpisodeKey("b", 1, "s1", 0)])
    store.close()
    with Reader(path) as reader:
        assert [row.sample for row in reader.episodes("b")] == ["s1", "s3", "s5"]
        assert {row.final for row in reader.episodes("a")} == {0, 1}
        assert [row.sample for row in reader.episodes("a", final_only=True)] == ["s0", "s2", "s4", "s6"]
        assert reader.counts() == {"a": 2, "b": 1}


def test_no_read_transaction_stays_open_between_pages(path, monkeypatch):
    """A cursor over the whole table would keep the writer from folding in its log."""
    monkeypatch.setattr(reading, "PAGE", 2)
    store = Store(path)
    for n in range(6):
        store.add(attempt(n))
    with Reader(path) as reader:
        pages = reader.pages()
        assert len(next(pages)) == 2
        store.add(attempt(6))
        writer = sqlite3.connect(path)
        busy, *_ = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        writer.close()
        assert not busy
        assert [row.sample for page in pages for row in page] == ["s2", "s3", "s4", "s5", "s6"]
    store.close()


def test_labels_clusters_and_texts(path):
    store = Store(path)
    store.add(attempt(0, labels={"kind": "x"}, cluster="page", answer="42", target="43"))
    store.add(attempt(1))
    store.close()
    with Reader(path) as reader:
        first, second = reader.episodes()
        assert (json.loads(first.labels or ""), first.cluster, first.texts) == ({"kind": "x"}, "page", 1)
        assert (second.labels, second.texts) == ("{}", 0)
        assert reader.texts([first.id]) == {first.id: Texts("42", "43")}


def test_version_1_has_no_labels_also_once_upgraded(tmp_path):
    shutil.copytree(WAVE_1, tmp_path / "old")
    path = tmp_path / "old" / "run.sqlite"
    with Reader(path) as reader:
        old = list(reader.episodes())
        assert old
        assert {(row.labels, row.cluster, row.texts) for row in old} == {(None, "", 0)}
        assert reader.texts([old[0].id]) == {}
    Store(path).close()
    with Reader(path) as reader:
        assert reader.version == 2
        assert list(reader.episodes()) == old


def test_damaged_settings_name_the_file(path):
    Store(path).close()
    db = sqlite3.connect(path)
    db.execute("INSERT INTO meta VALUES('config', '{')")
    db.commit()
    db.close()
    with Reader(path) as reader, pytest.raises(StoreError, match=r"run\.sqlite: what it says under 'config'"):
        reader.meta("config")


def test_a_newer_file_is_refused(path):
    Store(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 3")
    db.close()
    with pytest.raises(StoreError, match="version 3"):
        Reader(path)
