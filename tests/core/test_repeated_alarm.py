"""A test that hangs ends, wherever its alarm rings, and so do its fixtures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HANGING = """
import asyncio
import signal
import time

import pytest
import repeated_alarm

repeated_alarm.AGAIN_S = 0.5


def test_that_is_in_a_callback_when_the_alarm_rings():
    async def waits():
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGALRM)
        await asyncio.Event().wait()

    asyncio.run(waits())


@pytest.fixture
def hangs():
    yield
    asyncio.run(asyncio.Event().wait())


def test_whose_fixture_hangs_after_it_failed(hangs):
    raise ValueError("first")


def test_after_them():
    assert True
"""


@pytest.mark.timeout(200)
def test_a_swallowed_alarm_rings_again_and_a_failed_tests_fixtures_are_bounded(
    tmp_path: Path, root: Path
) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGING)
    env = {**os.environ, "PYTHONPATH": str(root / "tests/support")}
    words = [
        "-p",
        "repeated_alarm",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--timeout",
        "1",
        "--tb",
        "line",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *words],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert "2 failed, 1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("Timeout (>1.0s)") >= 2
