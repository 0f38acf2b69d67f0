"""Building the OS task's system: kept when there, refused with a reason, hashed by its tree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import MissingPart
from tasks._shared.sandbox.spec import MARKER
from tasks.os import image, setup


def tree(folder: Path) -> Path:
    for name, text in (
        ("etc/passwd", "root"),
        ("usr/bin/ls", "ls"),
        ("var/log/x", "1"),
        ("root/.bashrc", ""),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "bin").symlink_to("usr/bin")
    return folder


def test_equal_trees_have_equal_hashes_and_logs_do_not_count(tmp_path: Path) -> None:
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    (two / "var/log/x").write_text("2")
    (two / "var/cache").mkdir()
    (two / "usr/bin/__pycache__").mkdir()
    (two / MARKER).parent.mkdir(parents=True)
    (one / MARKER).parent.mkdir(parents=True)
    (two / MARKER).write_text("x")
    (two / "var/cache").rmdir()
    assert image.tree_hash(one) == image.tree_hash(two)


@pytest.mark.parametrize("change", ["content", "mode", "link", "new", "gone", "name"])
def test_any_lasting_change_changes_the_hash(change: str, tmp_path: Path) -> None:
    folder = tree(tmp_path / "root")
    before = image.tree_hash(folder)
    program = folder / "usr/bin/ls"
    if change == "content":
        program.write_text("sl")
    elif change == "mode":
        program.chmod(0o4755)
    elif change == "link":
        (folder / "bin").unlink()
        (folder / "bin").symlink_to("usr/sbin")
    elif change == "new":
        (folder / "usr/bin/x").write_text("")
    elif change == "gone":
        program.unlink()
    else:
        program.rename(folder / "usr/bin/dir")
    assert image.tree_hash(folder) != before


def test_what_is_built_is_kept(tmp_path: Path) -> None:
    folder = image.root_folder(tmp_path)
    (folder / MARKER).parent.mkdir(parents=True)
    (folder / MARKER).write_text("hash")
    said: list[str] = []
    setup.setup(tmp_path, said.append)
    assert said == [f"os: the root file system is there: {folder}"]
    assert image.built_root(tmp_path) == folder


def test_without_any_builder_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPart, match=r"apt-get install .* debootstrap bubblewrap"):
        setup.setup(tmp_path, lambda _: None)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    with pytest.raises(MissingPart, match="harness setup os"):
        image.built_root(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root builds a root file system")
def test_a_failed_build_leaves_nothing_that_looks_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    fake = tools / "debootstrap"
    fake.write_text("#!/bin/sh\necho 'E: Failed getting release file'\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    partial = image.root_folder(tmp_path).with_name(f"{image.root_folder(tmp_path).name}.partial")
    (partial / "left").mkdir(parents=True)  # of an interrupted build
    with pytest.raises(setup.BuildFailed, match="Failed getting release file"):
        setup.setup(tmp_path, lambda _: None)
    assert not image.root_folder(tmp_path).exists()
    assert not (partial / "left").exists()
    with pytest.raises(MissingPart, match="not built"):
        image.built_root(tmp_path)
