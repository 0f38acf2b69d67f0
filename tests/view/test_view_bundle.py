"""A bundle keeps to its size, holds what was chosen, and leaves nothing behind when it fails."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from viewed_runs import attempt, begun, viewed_run

from harness.errors import UsageError
from harness.report.load import FILE
from harness.view.bundle import bundle


def chunk(folder: Path, name: str):
    text = (folder / f"{name}.js").read_text("utf-8")
    found = re.fullmatch(r'harnessChunk\("([^"]*)",(.*)\);\n', text, re.DOTALL)
    assert found is not None and found[1] == name
    return json.loads(found[2])


def rows(folder: Path) -> list[dict]:
    return [row for path in sorted(folder.glob("rows-*.js")) for row in chunk(folder, path.stem)]


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_it_keeps_to_its_size_and_says_what_it_leaves_out(tmp_path):
    store = begun(tmp_path)
    for n in range(60):
        store.add(attempt(n, 1.0, "".join(chr(97 + (i * n) % 26) for i in range(9_000))))
    store.close()
    told = bundle([tmp_path / FILE], tmp_path / "small", most=400_000)
    assert size(tmp_path / "small") <= 400_000
    kept = chunk(tmp_path / "small", "places")
    assert 5 < len(kept) < 60
    assert f"60 episodes; {60 - len(kept)} of them without their turns" in told
    told = bundle([tmp_path / FILE], tmp_path / "whole", most=50_000_000)
    assert len(chunk(tmp_path / "whole", "places")) == len(rows(tmp_path / "whole")) == 60
    assert "without" not in told
    assert not list((tmp_path / "whole").glob("part-00001.js")) or size(tmp_path / "whole") > 1_000_000


def test_only_flips_or_only_what_failed(tmp_path):
    paths = [viewed_run(tmp_path / "a", 12), viewed_run(tmp_path / "b", 12, worse=5)]
    bundle(paths, tmp_path / "flips", only="flips", most=10_000_000)
    assert sorted(row["sample"] for row in rows(tmp_path / "flips")) == [f"s/{n:03}" for n in range(5)]
    bundle(paths[:1], tmp_path / "failed", only="failed", most=10_000_000)
    found = {row["sample"] for row in rows(tmp_path / "failed")}
    assert found == {f"s/{n:03}" for n in range(12) if n % 3} | {"81"}
    with pytest.raises(UsageError, match="give a second run"):
        bundle(paths[:1], tmp_path / "none", only="flips", most=10_000_000)
    assert not (tmp_path / "none").exists()


def test_texts_of_private_tasks_are_not_in_it(tmp_path):
    path = viewed_run(tmp_path / "run")
    bundle([path, path], tmp_path / "pages", most=10_000_000)
    assert rows(tmp_path / "pages")
    for file in (tmp_path / "pages").iterdir():
        assert b"SECRET" not in file.read_bytes(), file.name


def test_other_attempts_of_an_episode_come_along(tmp_path):
    bundle([viewed_run(tmp_path / "run", 3)], tmp_path / "pages", most=10_000_000)
    assert {"0/1", "0/2"} <= set(chunk(tmp_path / "pages", "places"))


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    path = viewed_run(tmp_path / "run", 3)
    with pytest.raises(UsageError, match="is there already: give a new folder"):
        bundle([path], tmp_path / "run", most=10_000_000)
    assert path.is_file()


FULL = """
import resource, sys
from pathlib import Path
from harness.errors import StoreError
from harness.view.bundle import bundle
path, folder = map(Path, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    bundle([path], folder, most=10_000_000)
except StoreError as error:
    sys.exit(f"said: {error}")
"""


def test_a_file_that_cannot_be_written_leaves_no_half_bundle(tmp_path):
    path = viewed_run(tmp_path / "run", 100)
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(tmp_path / "pages")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert re.search(r"said: cannot write .*pages: File too large", done.stderr), done.stderr
    assert not (tmp_path / "pages").exists()
