"""Files of the user's with the names of our packages, and what the demo says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = [sys.executable, "-c", "import sys; sys.path[0] = '/nowhere'; from harness.cli import main; main()"]
"""As the console script does: the folder it is called in is not on Python's path."""
MODULE = [sys.executable, "-m", "harness"]
RUN = ("run", "--model", "oracle", "--task", "gsm8k", "--mirror", "fixture", "--limit", "1", "--no-report")


def call(command: list[str], cwd: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("HARNESS_")} | environment
    return subprocess.run(
        [*command, *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=500, check=False
    )


def lay(folder: Path, form: str) -> None:
    if form == "file":
        (folder / "tasks.py").write_text("raise SystemExit('the wrong tasks')\n")
    else:
        (folder / "tasks").mkdir()
        (folder / "tasks/__init__.py").write_text("raise SystemExit('the wrong tasks')\n")


@pytest.mark.parametrize("command", [MODULE, SCRIPT], ids=["module", "script"])
@pytest.mark.parametrize("form", ["file", "package"])
def test_a_users_own_tasks_in_the_folder_break_nothing(command: list[str], form: str, tmp_path: Path):
    lay(tmp_path, form)
    done = call(command, tmp_path, *RUN, HARNESS_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("form", ["file", "package"])
def test_another_tasks_that_comes_first_is_refused_in_one_line(form: str, tmp_path: Path, root: Path):
    (tmp_path / "first").mkdir()
    lay(tmp_path / "first", form)
    done = call(MODULE, tmp_path, "list", "tasks", PYTHONPATH=f"{tmp_path / 'first'}:{root}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert str(tmp_path / "first/tasks") in line and "take its folder out of PYTHONPATH" in line


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_explains_itself(tmp_path: Path):
    words = ("run", "--model", "oracle", "--suite", "demo", "--ready-only")
    done = call(MODULE, tmp_path, *words)
    assert done.returncode in (0, 3), done.stderr
    told = done.stdout.partition("The oracle knows the right answers")[2]
    (low,) = [line for line in told.splitlines() if "cannot reach 100" in line]
    assert {"mind2web", "sciworld", "gsm8k"} <= {*low.partition(" cannot")[0].split(", ")}
    assert told.count("\n  harness ") == 3
