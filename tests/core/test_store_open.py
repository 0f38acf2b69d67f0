"""Opening a store that is no store: one line that names the file and what to do, and nothing is changed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from store_adding import added

from harness.errors import StoreError
from harness.storage.mounts import network_kind
from harness.storage.store import Attempt, EpisodeKey, Store


def truncated(path: Path) -> None:
    store = Store(path)
    store.plan([EpisodeKey("t", 1, f"sample {n}", 0) for n in range(1000)])
    store.close()
    os.truncate(path, 20_000)


def beheaded(path: Path) -> None:
    Store(path).close()
    os.truncate(path, 300)


def foreign(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE bookmark(address TEXT)")
    db.execute("PRAGMA user_version = 41")
    db.close()


BAD = {
    "folder": (lambda path: path.mkdir(), "it is a folder; move it away"),
    "pipe": (os.mkfifo, "it is no regular file; move it away"),
    "text": (
        lambda path: path.write_text("no database " * 900),
        "not a database; it is no run's store; move",
    ),
    "truncated": (truncated, "malformed; it is damaged or cut off; restore it"),
    "beheaded": (beheaded, "; restore it|; move it away"),
    "foreign": (foreign, "another program's SQLite file; give the folder of a run"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("readonly", [False, True])
def test_a_bad_file_is_one_line_that_names_it_and_the_fix(tmp_path: Path, kind: str, readonly: bool):
    path = tmp_path / "run.sqlite"
    make, words = BAD[kind]
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(StoreError, match=words) as raised:
        Store(path, readonly=readonly)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.parametrize(("text", "words"), [(None, "no such file"), (b"", "it is empty")])
def test_reading_what_is_not_there_names_the_fix(tmp_path: Path, text: bytes | None, words: str):
    path = tmp_path / "run.sqlite"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(StoreError, match=words):
        Store(path, readonly=True)
    assert path.exists() == (text is not None)


def test_an_empty_file_becomes_a_new_store(tmp_path: Path):
    """A crash before the first transaction leaves one: nothing is lost."""
    path = tmp_path / "run.sqlite"
    path.touch()
    store = Store(path)
    assert added(store, Attempt("t", 1, "a", 0, outcome="scored", value=1.0))
    store.close()


def test_damage_further_in_is_one_line_too(tmp_path: Path):
    path = tmp_path / "run.sqlite"
    store = Store(path)
    store.plan([EpisodeKey("t", 1, f"sample {n}", 0) for n in range(5000)])
    store.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 20_000)
    store = Store(path, readonly=True)
    with pytest.raises(StoreError, match=r"cannot read the run's store .*run\.sqlite.*restore it"):
        store.planned()
    store.close()


def as_a_stranger(path: Path, readonly: bool) -> str:
    """What a process says that opens a store without root's rights."""
    program = f"""
import os, sys
from pathlib import Path
from harness.errors import StoreError
from harness.storage.store import Store
import zstandard
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    print(len(list(Store(Path({str(path)!r}), readonly={readonly}).attempts())), "attempts")
except StoreError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def shared_folder():
    """A folder that other users may enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@pytest.mark.parametrize("readonly", [False, True])
def test_a_file_without_permission_names_the_fix(shared_folder: Path, readonly: bool):
    path = shared_folder / "run.sqlite"
    Store(path).close()
    path.chmod(0)
    said = as_a_stranger(path, readonly)
    assert said.startswith(f"cannot open the run's store {path}: ") and "\n" not in said
    assert "make the file and its folder readable" in said


def test_a_finished_run_reads_from_a_folder_that_cannot_be_written(shared_folder: Path):
    path = shared_folder / "run.sqlite"
    store = Store(path)
    store.add(Attempt("t", 1, "a", 0, outcome="scored", value=1.0))
    store.close()
    assert [file.name for file in shared_folder.iterdir()] == ["run.sqlite"]
    path.chmod(0o444)
    shared_folder.chmod(0o555)
    assert as_a_stranger(path, True) == "1 attempts"
    assert "; make the file and its folder" in as_a_stranger(path, False)


MOUNTS = """\
21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 0:41 / /home rw shared:5 - nfs4 server:/home rw
23 22 0:42 / /home/local rw - xfs /dev/sdb rw
24 21 0:43 / /data\\040sets rw - fuse.glusterfs server:/data rw
25 21 0:44 / /mnt rw - nfs server:/a rw
26 21 8:3 / /mnt rw - tmpfs none rw
a line that says nothing
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/home/me/runs", "nfs4"),
        ("/home/local/runs", ""),
        ("/homes/runs", ""),
        ("/data sets/run", "fuse.glusterfs"),
        ("/mnt/run", ""),
    ],
)
def test_network_file_systems_are_known(place: str, kind: str, tmp_path: Path):
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    assert network_kind(Path(place), table) == kind
    assert network_kind(Path(place), tmp_path / "absent") == ""
