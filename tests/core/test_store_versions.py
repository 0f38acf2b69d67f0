"""Files of version 1 and of the future: read as they are, upgraded whole, or refused by name."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from command import harness
from store_adding import added

from harness.errors import OtherStore
from harness.report.stats import wilson
from harness.storage import schema
from harness.storage.records import Turn
from harness.storage.store import Attempt, CallRecord, Store

WAVE_1 = Path(__file__).parent / "wave1"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Copy of a run that version 1 made."""
    shutil.copytree(WAVE_1, tmp_path / "wave1")
    return tmp_path / "wave1" / "run.sqlite"


def known_calls() -> list[list[object]]:
    return json.loads((WAVE_1 / "calls.json").read_text(encoding="utf-8"))


def read_calls(store: Store) -> list[list[object]]:
    """As `calls.json` has them; calls that version 2 added are left out."""
    return [
        [a.id, c.n, sha256(c.prompt.encode()).hexdigest(), c.reply, c.facts.get("output_tokens"), c.info]
        for a in store.attempts()
        for c in store.calls(a.id)
        if c.turn is None
    ]


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    db = sqlite3.connect(path)
    found = {
        name: db.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in schema.table_names(db)
    }
    db.close()
    return found


def test_a_file_of_version_1_reads_as_it_is(old: Path):
    before = old.read_bytes()
    store = Store(old, readonly=True)
    assert store.version == 1
    assert read_calls(store) == known_calls()
    rows = list(store.attempts())
    assert len(rows) == len(store.final_items()) == len(store.planned()) == 12
    assert {(tuple(row.labels), row.cluster, row.answer, row.target) for row in rows} == {((), "", "", "")}
    assert sum(row.pending is not None for row in rows) == 4
    assert store.last(rows[0].id) is None and store.heartbeat() is None
    assert not store.begun(rows[0].item)
    assert [command["environment"]["commit"] for command in store.commands()] == ["9e592e524376"]
    store.close()
    assert old.read_bytes() == before


@pytest.mark.parametrize("name", [".", "interrupted"])
@pytest.mark.parametrize("upgraded", [False, True])
def test_a_run_of_version_1_reports_the_same(old: Path, name: str, upgraded: bool):
    directory = (old.parent / name).resolve()
    if upgraded:
        Store(directory / "run.sqlite").close()
    done = harness(old.parent, "report", str(directory), "--format", "json")
    assert done.returncode == (3 if name == "interrupted" else 0), done.stderr
    was = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    for task in was["tasks"].values():
        if task["scored"] < 10 and task["ci"] and task["score"] not in (0.0, 100.0):
            task["ci"] = [100 * end for end in wilson(task["score"] / 100 * task["scored"], task["scored"])]
    assert was == common(json.loads(done.stdout), was)


def common(new: object, was: object) -> object:
    """The part of a report that the old one has too: keys may be added, none may change."""
    if isinstance(new, dict) and isinstance(was, dict):
        return {key: common(value, was[key]) for key, value in new.items() if key in was}
    if isinstance(new, list) and isinstance(was, list) and len(new) == len(was):
        return [common(a, b) for a, b in zip(new, was, strict=True)]
    return new


def test_writing_upgrades_and_keeps_every_row(old: Path):
    rows = content(old)
    store = Store(old)
    assert store.version == schema.VERSION
    assert read_calls(store) == known_calls()
    turn = Turn(info={"seed": 7})
    later = Attempt("gsm8k", 9, "new", 0, outcome="scored", value=1.0, labels={"level": "1"}, cluster="c")
    later.calls = [CallRecord(0, "prompt", "reply", turn=turn)]
    assert added(store, later)
    newest = list(store.attempts())[-1]
    assert store.calls(newest.id) == later.calls
    assert (newest.labels, newest.cluster) == ({"level": "1"}, "c")
    store.add_command({"argv": ["run"]})
    assert [sorted(command)[0] for command in store.commands()] == ["environment", "argv"]
    store.close()
    for name, kept in content(old).items():
        if name in rows:
            assert [row[: len(rows[name][0])] for row in kept[: len(rows[name])]] == rows[name], name
    again = Store(old)
    assert read_calls(again) == known_calls()
    again.close()


def test_an_upgraded_file_has_the_columns_of_a_new_one(old: Path, tmp_path: Path):
    def columns(path: Path) -> set[tuple[str, ...]]:
        db = sqlite3.connect(path)
        names = schema.table_names(db) - {"call"}
        found = {
            (name, *map(str, row[1:])) for name in names for row in db.execute(f"PRAGMA table_info({name})")
        }
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        db.close()
        return found

    Store(old).close()
    Store(tmp_path / "new.sqlite").close()
    assert columns(old) == columns(tmp_path / "new.sqlite")


@pytest.mark.parametrize("statements", [1, 3, len(schema.UPGRADE)])
def test_a_crash_within_the_upgrade_leaves_a_readable_version_1(old: Path, statements: int):
    rows = content(old)
    program = f"""
import os, signal
from pathlib import Path
from harness.storage import schema
from harness.storage.store import Store
def dying():
    yield from statements[:{statements}]
    os.kill(os.getpid(), signal.SIGKILL)
statements, schema.UPGRADE = schema.UPGRADE, dying()
Store(Path({str(old)!r}))
"""
    died = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert died.returncode == -signal.SIGKILL
    store = Store(old, readonly=True)
    assert store.version == 1
    assert read_calls(store) == known_calls()
    store.close()
    assert content(old) == rows
    store = Store(old)
    assert store.version == schema.VERSION
    assert read_calls(store) == known_calls()
    store.close()


@pytest.mark.parametrize("readonly", [False, True])
def test_a_newer_file_is_refused_by_name_and_left_alone(tmp_path: Path, readonly: bool):
    path = tmp_path / "run.sqlite"
    Store(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 3")
    db.close()
    before = path.read_bytes()
    with pytest.raises(OtherStore, match=r"run\.sqlite: it has version 3, .* reads versions 1 to 2; use"):
        Store(path, readonly=readonly)
    assert path.read_bytes() == before
