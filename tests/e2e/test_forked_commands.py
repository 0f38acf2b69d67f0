"""The tests' commands run in forks of one process: each must do what a fresh process does."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from command import FORKS

RUN = ("run", "--model", "oracle", "--task", "gsm8k", "--mirror", "fixture", "--no-report", "--out", "r")


def environment(folder: Path) -> dict[str, str]:
    """A cache and a temporary folder of its own, where nothing of other tests is left."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    (folder / "tmp").mkdir(exist_ok=True)
    return {**kept, "HARNESS_CACHE": str(folder / "cache"), "TMPDIR": str(folder / "tmp")}


def fresh(words: tuple[str, ...], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", *words]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "words",
    [("list", "tasks"), ("report", "nothing"), ("--help",), ("frobnicate",), ("doctor", "gsm8k"), RUN],
)
def test_a_fork_says_and_returns_what_a_fresh_process_does(tmp_path: Path, words: tuple[str, ...]):
    found = []
    for number, way in enumerate((fresh, FORKS.run, FORKS.run)):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = way(words, folder, environment(folder))
        texts = (text.replace(str(folder), "") for text in (done.stdout, done.stderr))
        found.append((done.returncode, *texts))
    assert found[0] == found[1] == found[2]


def test_a_fork_stores_the_command_and_the_rows_that_a_fresh_process_stores(tmp_path: Path):
    stored = []
    for number, way in enumerate((fresh, FORKS.run)):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert way(RUN, folder, environment(folder)).returncode == 0
        with sqlite3.connect(folder / "r/run.sqlite") as store:
            rows = store.execute("SELECT sample, outcome, value FROM episode ORDER BY sample").fetchall()
            commands = store.execute("SELECT facts ->> '$.argv' FROM command").fetchall()
        stored.append((rows, commands))
    assert stored[0] == stored[1]


def test_what_one_command_was_given_does_not_reach_the_next(tmp_path: Path):
    (tmp_path / "mine.toml").write_text('[words]\ntemplate = "agentlm"\nendpoints = ["http://x"]\n')
    given = environment(tmp_path) | {"HARNESS_MODELS": "mine.toml"}
    assert "words" in FORKS.run(("list", "models"), tmp_path, given).stdout
    assert "words" not in FORKS.run(("list", "models"), tmp_path, environment(tmp_path)).stdout


def test_a_fork_that_is_killed_is_told_as_such(tmp_path: Path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/aaa_dies.py").write_text(f"import os\nos.kill(os.getpid(), {int(signal.SIGKILL)})\n")
    found = tmp_path / "site/dies-1.dist-info"
    found.mkdir()
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: dies\nVersion: 1\n")
    (found / "entry_points.txt").write_text("[harness.tasks]\ndies = aaa_dies:TASK\n")
    given = environment(tmp_path)
    given["PYTHONPATH"] = os.pathsep.join((str(tmp_path / "site"), given.get("PYTHONPATH", "")))
    assert FORKS.run(("doctor", "dies"), tmp_path, given).returncode == -signal.SIGKILL
    assert FORKS.run(("list", "suites"), tmp_path, environment(tmp_path)).returncode == 0
