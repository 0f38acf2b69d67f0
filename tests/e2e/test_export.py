"""`harness export --format store`: a whole copy of a run that may go on, or one line and no file."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from command import harness

from harness.storage.store import Attempt, CallRecord, EpisodeKey, Store

EXPORT = ("export", "--format", "store")
ITEMS = 100_000

WRITER = """
import itertools, os, sys
from pathlib import Path
from harness.storage.store import Attempt, CallRecord, Store
store = Store(Path(sys.argv[1]))
for n in itertools.count():
    body = os.urandom(200_000 if n < 100 else 200).hex()
    store.add(Attempt("absent_task", 1, f"s{n}", 0, "scored", 1.0, calls=[CallRecord(0, body, "")]))
    print(n, flush=True)
"""


def make(path: Path, played: int = 0) -> None:
    """A run of a task that is not installed: nothing but its store is needed to report it."""
    with closing(Store(path)) as store:
        facts = {"version": 1, "options": {}, "source": "mirror", "data": "", "samples": "", "count": ITEMS}
        config = {"model": "m", "profile": "paper", "decoding": "protocol", "seed": 0, "shard": None}
        store.set_meta("config", {**config, "suites": {}, "tasks": {"absent_task": facts}})
        store.set_meta("specs", {"absent_task": {"metric": "accuracy", "unit": "percent", "excepts": {}}})
        store.plan([EpisodeKey("absent_task", 1, f"s{n}", 0) for n in range(played or ITEMS)])
        for n in range(played):
            call = CallRecord(0, os.urandom(20_000).hex(), "")
            store.add(Attempt("absent_task", 1, f"s{n}", 0, "scored", 1.0, calls=[call]))


def samples(path: Path) -> list[str]:
    with closing(Store(path, readonly=True)) as store:
        return [attempt.item.sample for attempt in store.attempts()]


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that commits one episode after the other and tells each; the first hundred are large."""
    make(tmp_path / "mine/run.sqlite")
    command = [sys.executable, "-c", WRITER, str(tmp_path / "mine/run.sqlite")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        yield writer
        writer.kill()


def test_a_copy_made_while_a_process_writes_holds_every_episode_committed_by_then(writing, tmp_path: Path):
    told = iter(writing.stdout)
    before = next(n for n in map(int, told) if n >= 150)
    done = harness(tmp_path, *EXPORT, "mine", "copy.sqlite")
    assert done.returncode == 0, done.stderr
    assert writing.poll() is None
    writing.kill()
    after = max(int(line) for line in told if line.endswith("\n"))
    copied = samples(tmp_path / "copy.sqlite")
    assert before < len(copied) <= after + 2, "the writer may have told one less than it wrote"
    assert copied == [f"s{n}" for n in range(len(copied))]
    assert done.stdout == f"copy.sqlite holds {len(copied)} of {ITEMS} episodes: harness report copy.sqlite\n"
    with closing(sqlite3.connect(tmp_path / "copy.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.sqlite", "mine"]


def test_a_copy_is_one_file_that_reports_and_resumes_like_the_run(tmp_path: Path):
    run = ("run", "--model", "oracle", "--task", "gsm8k", "--mirror", "fixture", "--no-report", "--out")
    assert harness(tmp_path, *run, "mine").returncode == 0
    (tmp_path / "other").mkdir()
    assert harness(tmp_path, *EXPORT, "mine", "other/run.sqlite").returncode == 0
    assert harness(tmp_path, *EXPORT, "other/run.sqlite", "copy.sqlite").returncode == 0
    reports = [harness(tmp_path, "report", name, "--format", "json") for name in ("mine", "copy.sqlite")]
    assert [report.returncode for report in reports] == [0, 0]
    told = [json.loads(report.stdout) for report in reports]
    assert [one.pop("run") for one in told] == ["mine", "copy"]
    assert told[0] == told[1]
    again = harness(tmp_path, *run, "other")
    assert (again.returncode, "complete already" in again.stderr) == (0, True)
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy.sqlite"]


def files(folder: Path) -> dict[Path, int]:
    """Every file and its size, without those in which SQLite notes who reads."""
    found = (path for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm")))
    return {path: path.lstat().st_size for path in found}


def refused(tmp_path: Path, code: int, says: str, *words: str) -> None:
    """Nothing but one line comes of it: no file, and no change of one that is there."""
    before = files(tmp_path)
    done = harness(tmp_path, *EXPORT, *words)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert says in done.stderr
    assert done.stderr.startswith("harness: ") and done.stderr.count("\n") == 1
    assert files(tmp_path) == before


def test_what_cannot_be_copied_is_one_line(tmp_path: Path):
    make(tmp_path / "mine/run.sqlite", played=2)
    (tmp_path / "there").write_text("something else")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/run.sqlite").write_text("no store " * 1000)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/run.sqlite").touch()
    for out in ("there", "link", "bad", "mine/run.sqlite"):
        refused(tmp_path, 2, f"{out} exists: give another OUT", "mine", out)
    refused(tmp_path, 2, "no is no folder: make it", "mine", "no/copy")
    refused(tmp_path, 2, "there is no folder: make it", "mine", "there/copy")
    refused(tmp_path, 2, "holds no run.sqlite: give a run directory", "nothing", "copy")
    refused(tmp_path, 3, "it is no run's store", "bad", "copy")
    refused(tmp_path, 3, "it is empty: no run was stored in it", "empty", "copy")


@pytest.fixture
def small_files() -> Iterator[None]:
    """A limit on the size of files stands in for a full disk: the write of the copy really fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_no_half_copy(tmp_path: Path, request: pytest.FixtureRequest):
    make(tmp_path / "mine/run.sqlite", played=30)
    request.getfixturevalue("small_files")
    refused(tmp_path, 3, "cannot copy the run's store", "mine", "copy")


def test_a_folder_that_cannot_be_written_names_the_fix(tmp_path: Path):
    make(tmp_path / "mine/run.sqlite", played=2)
    refused(tmp_path, 3, "give an OUT in a folder that can be written", "mine", "/proc/copy")
