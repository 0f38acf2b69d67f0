"""`harness watch` reads from a run's file alone what the run does, and names what stands still."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from command import harness
from slow_endpoint import slow_server
from viewed_runs import attempt, begun, viewed_run

from harness.report.load import FILE
from harness.storage.store import EpisodeKey
from harness.view.run_view import RunView
from harness.view.watch import LATE_S, Watch, reason

WITHIN_S = 35.0
"""Within which a person is told; `benchmarks/watch.py` measures it."""
PATIENCE_S = 240.0
"""For a machine with much else to do."""
WAIT = {"task": "garden", "episode": "s/7#0", "doing": "step", "seconds": 21.0, "turn": 3}
END = {"url": "http://gpu:8080", "healthy": True, "flying": 3, "limit": 8, "answered": 1234}


def shown(folder: Path, beat: dict | None, now: float | None = None) -> list[str]:
    store = begun(folder)
    try:
        store.plan([EpisodeKey("garden", 1, f"s/{n:03}", 0) for n in range(9)])
        store.add(attempt(1, 1.0, started=time.time() - 5, seconds=1.0))
        if beat is not None:
            store.beat(beat)
        with closing(RunView(folder / FILE)) as run:
            return Watch(run).lines(now)
    finally:
        store.close()


def test_a_run_that_plays(tmp_path):
    more = {"flying": 3, "queued": 2, "live": 4, "outage_s": None}
    facts = {"state": "playing", "endpoints": [END, END | {"healthy": False}], "oldest": [WAIT], **more}
    lines = shown(tmp_path, facts | {"oldest": [WAIT, WAIT | {"doing": "model", "seconds": 99.0}]})
    head = lines[0]
    assert (
        head.startswith(f"{tmp_path.name}: 1 of 9 episodes · 0 episodes/min · 0 turns/min") or "min" in head
    )
    assert "4 live, 3 in flight (+2 queued)" in head
    assert any(line.startswith("  garden") and "1 / 9" in line for line in lines)
    assert "  http://gpu:8080 up, 3/8 in flight, 1,234 answered" in lines
    assert "! http://gpu:8080 down, 3/8 in flight, 1,234 answered" in lines
    assert "! garden s/7#0: its environment has not answered (step) for 21 s, turn 4" in lines
    assert "  garden s/7#0: model for 2 min, turn 4" in lines
    assert not any("process" in line for line in lines)


def test_a_heartbeat_that_stays_away(tmp_path):
    facts = {"state": "playing", "host": "elsewhere", "pid": 7}
    assert not any("no heartbeat" in line for line in shown(tmp_path, facts))
    late = shown(tmp_path, facts, time.time() + LATE_S + 5)
    assert (
        "! no heartbeat for 30 s: process 7 on elsewhere is stopped, gone, or cannot write its file" in late
    )
    assert LATE_S < WITHIN_S - 5


def test_a_process_that_was_killed(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    lines = shown(tmp_path, {"state": "playing", "pid": int(done.stdout)})
    assert any("is gone without having ended the run; the same command resumes it" in line for line in lines)


def test_a_world_that_does_not_open(tmp_path):
    wait = {"task": "garden", "episode": "", "doing": "open", "seconds": 40.0, "turn": 0}
    assert "! garden: its world has not opened for 40 s" in shown(
        tmp_path, {"state": "playing", "oldest": [wait]}
    )


def test_no_endpoint_is_alive(tmp_path):
    lines = shown(tmp_path, {"state": "playing", "outage_s": 42.0})
    assert "! no endpoint is alive for 42 s" in lines


def test_a_run_that_ended_or_never_began(tmp_path):
    assert shown(tmp_path / "a", None)[0].endswith("no command has played it yet")
    assert shown(tmp_path / "b", {"state": "ended"})[0].endswith("not playing")


def test_reasons_are_counted_while_their_item_has_no_result(tmp_path):
    store = begun(tmp_path)
    for n in range(6):
        store.add(attempt(n, None, error="EndpointError: HTTP 503 from http://gpu:8080"))
    store.add(attempt(7, None, error="Traceback (most recent call last):\n  File x\nValueError: odd"))
    store.add(attempt(0, 1.0))
    with closing(RunView(tmp_path / FILE)) as run:
        told = [line for line in Watch(run).lines() if "times" in line]
    store.close()
    assert told == ["! 5 times: EndpointError: HTTP 503 from http://gpu:8080", "! 1 times: ValueError: odd"]
    assert reason("") == "unknown"


def test_it_ends_with_the_run_and_says_whether_it_is_complete(tmp_path):
    viewed_run(tmp_path / "run", 3)
    done = harness(tmp_path, "watch", "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "run: 5 of 3 episodes · no command has played it yet" in done.stdout
    assert harness(tmp_path, "watch", "nowhere").returncode == 2
    store = begun(tmp_path / "part")
    store.plan([EpisodeKey("garden", 1, "s/001", 0)])
    store.close()
    assert harness(tmp_path, "watch", "part").returncode == 3


@contextmanager
def running(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run in a process of its own, killed on leaving together with what it started."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    command = [sys.executable, "-m", "harness", "run", *words, "--mirror", "fixture", "--out", "run"]
    process = subprocess.Popen(
        command, cwd=folder, env=kept | {"HARNESS_CACHE": str(folder / "cache")}, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        for pid in (*children(process.pid), process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait(20)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def seen(folder: Path, pattern: str, within_s: float) -> str:
    """Wait until a watch of its own shows something; gives the whole picture."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        done = harness(folder, "watch", "run", "--once")
        if re.search(pattern, done.stdout):
            return done.stdout
        time.sleep(0.2)
    pytest.fail(f"{pattern!r} was not shown within {within_s} s; at last: {done.stdout or done.stderr}")


@pytest.mark.timeout(600)
def test_a_stopped_run_is_named(tmp_path):
    with slow_server("0.5") as (_, url):
        words = ("--model", "agentlm-7b", "--endpoint", url, "--task", "gsm8k", "--concurrency", "1")
        with running(tmp_path, *words, "--repeats", "200") as process:
            told = seen(tmp_path, "in flight", PATIENCE_S)
            assert url in told
            os.kill(process.pid, signal.SIGSTOP)
            seen(tmp_path, f"! process {process.pid} on", PATIENCE_S)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_stopped_environment_is_named(tmp_path):
    pytest.importorskip("textworld")
    words = ("--model", "oracle", "--task", "alfworld", "--repeats", "500", "--concurrency", "2")
    with running(tmp_path, *words) as process:
        seen(tmp_path, r"[1-9]\d* live, ", PATIENCE_S)
        workers = children(process.pid)
        assert workers
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        told = seen(tmp_path, "its environment has not answered", PATIENCE_S)
        assert "! alfworld " in told
