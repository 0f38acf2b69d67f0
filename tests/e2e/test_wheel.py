"""The wheel alone, in an empty environment and another folder, does what the checkout does."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def python(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the built wheel; only the dependencies are lent by the one that runs us."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=root, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True, timeout=120)
    inside = folder / "env/bin/python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(inside),
        "install",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    purelib = sysconfig.get_path(
        "purelib", vars={"base": str(folder / "env"), "platbase": str(folder / "env")}
    )
    Path(purelib, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return inside


def alone() -> dict[str, str]:
    """The environment without what would let Python find a checkout's packages before the wheel's."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def call(python: Path, tmp_path: Path, *words: str) -> str:
    command = [str(python), "-m", "harness", *words]
    done = subprocess.run(
        command, cwd=tmp_path, env=alone(), capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_the_wheel_that_runs(python: Path, tmp_path: Path, root: Path):
    where = "import harness, tasks; print(harness.__file__, tasks.__file__)"
    done = subprocess.run(
        [python, "-c", where],
        cwd=tmp_path,
        env=alone(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert str(root) not in done.stdout


def test_list_and_reference_report(python: Path, tmp_path: Path):
    assert "gsm8k" in call(python, tmp_path, "list", "tasks")
    assert "2.75" in call(python, tmp_path, "report", "reference:gpt-4")


@pytest.mark.parametrize(
    "words",
    [
        ("--task", "gsm8k,mmlu,alfworld", "--mirror", "fixture", "--limit", "2"),
        pytest.param(("--suite", "demo", "--ready-only"), marks=pytest.mark.slow),
    ],
)
def test_fixtures_are_played(python: Path, tmp_path: Path, words: tuple[str, ...]):
    table = call(python, tmp_path, "run", "--model", "oracle", *words)
    assert "gsm8k" in table and "FIXTURE" in table
