"""Time that jumps or stands still: a run stopped with all it waits for, a wall clock set by hours."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from killed_runs import finals
from slow_endpoint import slow_server

from harness.storage.store import Store

JUMPS = """
import itertools, time
real, hours = time.time, itertools.cycle((0, 3600, -3600))
time.time = lambda: real() + next(hours)
"""


def command(url: str, out: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "harness", "-q", "run", "--model", "agentlm-7b", "--endpoint", url,
        "--task", "gsm8k", "--mirror", "fixture", "--repeats", "4", "--concurrency", "4",
        "--out", str(out), "--no-report", *more,
    ]  # fmt: skip


def failed(out: Path) -> int:
    with closing(Store(out / "run.sqlite", readonly=True)) as store:
        return sum(attempt.outcome == "infra_error" for attempt in store.attempts())


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "stopped_s",
    [pytest.param(20, marks=pytest.mark.slow), pytest.param(120, marks=pytest.mark.full)],
)
def test_a_run_that_is_stopped_with_its_server_loses_nothing(stopped_s: int, tmp_path: Path):
    """Its requests may wait for 5 s: without its own clock all that are in flight would fail at once."""
    with slow_server("0.3") as (server, url):
        deadline = ("--request-deadline", "5")
        subprocess.run(command(url, tmp_path / "calm", *deadline), check=True, timeout=120)
        out = tmp_path / "stopped"
        with subprocess.Popen(command(url, out, *deadline)) as running:
            try:
                limit = time.monotonic() + 60
                while len(finals(out)) < 8:
                    assert running.poll() is None and time.monotonic() < limit, "the run plays nothing"
                    time.sleep(0.05)
                for process in (running, server):
                    os.kill(process.pid, signal.SIGSTOP)
                before = len(finals(out))
                time.sleep(stopped_s)  # how long they are stopped, not a wait for anything
                assert len(finals(out)) == before < 64, "the stop did not hit the run in its middle"
                for process in (server, running):
                    os.kill(process.pid, signal.SIGCONT)
                assert running.wait(timeout=120) == 0
            finally:
                running.kill()
    assert finals(out) == finals(tmp_path / "calm")
    assert failed(out) == 0


def test_a_wall_clock_that_jumps_by_hours_changes_nothing(tmp_path: Path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(JUMPS)
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))
    with slow_server("0.01") as (_, url):
        subprocess.run(command(url, tmp_path / "calm"), check=True, timeout=120)
        out = tmp_path / "jumping"
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(command(url, out), env=environment, timeout=120, check=False)
        assert done.returncode == 0
    assert finals(out) == finals(tmp_path / "calm")
    assert failed(out) == 0
    assert jumped(out), "the clock did not jump"


def jumped(out: Path) -> bool:
    """Whether the attempts of a run of seconds are told to have begun hours apart."""
    with closing(sqlite3.connect(out / "run.sqlite")) as db:
        ((first, last),) = db.execute("SELECT min(started), max(started) FROM episode")
    return last - first > 1800
