"""Preparing goes on where it stopped, says how far it is, and installs all or nothing."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from packages import install

from harness import data
from harness.data.prepare import prepare
from harness.errors import DataError, UsageError

# Copies a.txt and b.txt, unless the target has them already; a source file `stop` interrupts it in between.
PREPARE = """
def prepare(source, target, tell):
    made = []
    for name in ("a.txt", "b.txt"):
        if not (target / name).is_file():
            (target / name).write_bytes((source / name).read_bytes())
            tell(len(made) + 1, 2, name)
        made.append(target / name)
        if (source / "stop").exists():
            raise KeyboardInterrupt
    return made
"""
PIN = '\n[[file]]\npath = "{0}.txt"\nkind = "derived"\nsha256 = "{1}"\nlicence = "MIT"\n'


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pins = 'folder = "copies"\n'
    pins += "".join(PIN.format(name, hashlib.sha256(name.encode()).hexdigest()) for name in "ab")
    files = {"__init__.py": "", "prepare.py": PREPARE, "data.toml": pins}
    install(tmp_path / "site", "copy_bench", files, {"harness.tasks": {"copy": "copy_bench:TASK"}})
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_MIRROR", raising=False)
    folder = tmp_path / "source"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.txt").write_text(name)
    yield folder
    for name in ("copy_bench", "copy_bench.prepare"):
        sys.modules.pop(name, None)


def staged(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "stage").rglob("*.txt"))


def interrupted(source: Path) -> None:
    (source / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        prepare("copy", source)
    (source / "stop").unlink()


def test_it_says_how_far_it_is_and_leaves_no_stage(source: Path, tmp_path: Path):
    told: list[tuple[int, int | None, str]] = []
    made = prepare("copy", source, lambda *what: told.append(what))
    assert told == [(1, 2, "a.txt"), (2, 2, "b.txt")]
    assert [path.read_text() for path in made] == ["a", "b"]
    assert data.resolve("copy").problems == ()
    assert staged(tmp_path) == []


def test_an_interrupted_one_goes_on_with_what_it_had(source: Path, tmp_path: Path):
    interrupted(source)
    assert staged(tmp_path) == ["a.txt"]
    assert len(data.resolve("copy").problems) == 1, "nothing reached the cache"
    told: list[str] = []
    prepare("copy", source, lambda done, total, what: told.append(what), resume=True)
    assert told == ["b.txt"]
    assert data.resolve("copy").problems == ()
    assert staged(tmp_path) == []


def test_without_resume_it_starts_anew(source: Path):
    interrupted(source)
    told: list[str] = []
    prepare("copy", source, lambda done, total, what: told.append(what))
    assert told == ["a.txt", "b.txt"]


def test_nobody_resumes_from_a_file_that_was_wrong(source: Path, tmp_path: Path):
    (source / "a.txt").write_text("another edition")
    with pytest.raises(DataError, match="nothing was installed"):
        prepare("copy", source)
    assert staged(tmp_path) == ["b.txt"]
    assert len(data.resolve("copy").problems) == 1
    (source / "a.txt").write_text("a")
    prepare("copy", source, resume=True)
    assert data.resolve("copy").problems == ()


def test_another_source_has_a_stage_of_its_own(source: Path, tmp_path: Path):
    interrupted(source)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(FileNotFoundError):
        prepare("copy", other, resume=True)
    assert staged(tmp_path) == ["a.txt"], "the first source's is untouched, an empty one does not stay"


def test_two_at_once_do_not_share_a_stage(source: Path, tmp_path: Path):
    interrupted(source)
    (stage,) = (path for path in (tmp_path / "cache" / "stage").iterdir() if path.is_dir())
    with (
        FileLock(stage.with_suffix(".lock")),
        pytest.raises(UsageError, match="another process prepares copy"),
    ):
        prepare("copy", source)
    assert staged(tmp_path) == ["a.txt"]
