"""The base install alone lists tasks and runs one, without what only an extra or the tests bring."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ONLY_EXTRAS = ("stamina", "sympy", "mpmath", "numexpr", "scipy", "statsmodels")
WITHOUT = f"""
import sys
for name in {ONLY_EXTRAS!r}:
    sys.modules[name] = None  # an import raises ImportError, as if it were not installed
from harness.cli import main
sys.exit(main())
"""


def harness(tmp_path: Path, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(root), "HARNESS_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", WITHOUT, *words]
    return subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200, check=False
    )


def test_the_base_install_does_not_name_them(root: Path):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    named = {line.split(">")[0].split("=")[0] for line in project["dependencies"]}
    assert named.isdisjoint(ONLY_EXTRAS)
    wiki = " ".join(project["optional-dependencies"]["wiki"])
    assert all(name in wiki for name in ("stamina", "sympy", "numexpr"))


@pytest.mark.parametrize("words", [("--help",), ("list", "tasks")])
def test_it_says_what_there_is(words: tuple[str, ...], tmp_path: Path, root: Path):
    done = harness(tmp_path, root, *words)
    assert done.returncode == 0, done.stderr
    assert words[0] == "--help" or "rewoo" in done.stdout


def test_it_runs_tasks_that_need_no_extra(tmp_path: Path, root: Path):
    run = ("run", "--model", "oracle", "--task", "gsm8k,hotpotqa", "--mirror", "fixture", "--limit", "2")
    done = harness(tmp_path, root, *run)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_names_the_extra_of_a_task_that_needs_one(tmp_path: Path, root: Path):
    done = harness(tmp_path, root, "run", "--model", "oracle", "--task", "rewoo", "--mirror", "fixture")
    assert done.returncode != 0
    assert "agenttuning-harness[wiki]" in " ".join((done.stdout + done.stderr).split())
