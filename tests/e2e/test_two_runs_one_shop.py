"""Two runs at the same time whose episodes change one shop: the second waits, and is told for whom."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from site_shop import WORDS, install_shop

SITE = "http://shop.example:7770"


@contextmanager
def run(folder: Path, name: str, shop: str) -> Iterator[subprocess.Popen[str]]:
    """Start a run; killed at the end if it still lives."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    path = os.pathsep.join(filter(None, (str(folder / "site"), env.get("PYTHONPATH", ""))))
    # Each has a cache of its own; what they have in common is the folder of locks.
    env |= {"HARNESS_CACHE": str(folder / f"cache of {name}"), "HARNESS_LOCKS": str(folder / "locks")}
    env |= {"PYTHONPATH": path, "SHOP": shop, "SHOP_RUN": name, "SHOP_LOG": str(folder / "log")}
    env |= {"SHOP_WAITS_AT": "test/0"} if name == "first" else {}
    pipe, argv = subprocess.PIPE, [sys.executable, "-m", "harness", *WORDS, "--out", name]
    with subprocess.Popen(
        argv, cwd=folder, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as found:
        try:
            yield found
        finally:
            found.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    install_shop(tmp_path, [SITE] * 3)
    return tmp_path


def line_with(stream: Iterator[str] | None, word: str) -> str:
    """The next line that holds a word; empty where the process ended without one."""
    return next((line for line in stream or () if word in line), "")


@pytest.mark.timeout(120)
def test_the_second_run_waits_and_is_told_whose_the_shop_is(folder: Path) -> None:
    with run(folder, "first", SITE) as first:
        assert line_with(first.stdout, "inside"), "the first run plays nothing"
        with run(folder, "second", SITE) as second:
            told = line_with(second.stderr, "waiting for site:")
            assert SITE in told
            assert f"held by process {first.pid} on " in told
            assert f"run directory {folder / 'first'}" in told
            assert (folder / "log").read_text().splitlines() == ["first enters test/0"]
            first.communicate("go on\n", timeout=60)
            second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    lines = [line.split() for line in (folder / "log").read_text().splitlines()]
    for (whose, entered, what), left in zip(lines[::2], lines[1::2], strict=True):
        assert (entered, left) == ("enters", [whose, "leaves", what]), "one at a time is in the shop"
    for name in ("first", "second"):
        assert [line[2] for line in lines[::2] if line[0] == name] == [f"test/{n}" for n in range(3)]


@pytest.mark.timeout(120)
def test_runs_on_two_shops_do_not_wait_for_each_other(folder: Path) -> None:
    with run(folder, "first", SITE) as first:
        assert line_with(first.stdout, "inside"), "the first run plays nothing"
        with run(folder, "second", "http://other.example:7770") as second:
            _, told = second.communicate(timeout=60)
        assert second.returncode == 0
        assert "waiting for site:" not in told
