"""Kill -9 at random moments: the same command resumes, and nothing is lost, doubled or changed."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.data import task_folder
from harness.storage.store import Store

DELAY_S, IN_FLIGHT = 0.25, 4
SERVER = Path(__file__).with_name("slow_server.py")
QUESTIONS = task_folder("gsm8k") / "fixture/grade_school_math/data/test.jsonl"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [sys.executable, str(SERVER), str(DELAY_S), str(QUESTIONS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdin is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()
        server.wait(timeout=20)


def command(url: str, repeats: int, out: Path) -> list[str]:
    return [
        sys.executable, "-m", "harness", "-q", "run", "--model", "agentlm-7b", "--endpoint", url,
        "--task", "gsm8k", "--mirror", "fixture", "--repeats", str(repeats),
        "--concurrency", str(IN_FLIGHT), "--out", str(out),
        "--no-report",
    ]  # fmt: skip


def finals(out: Path) -> list[tuple[str, int, str, float | None]]:
    if not (out / "run.sqlite").exists():
        return []
    store = Store(out / "run.sqlite")
    try:
        rows = [(a.item.sample, a.item.repeat, a.outcome, a.value) for a in store.attempts(final_only=True)]
        assert len({row[:2] for row in rows}) == len(rows), "an item is final twice"
        return sorted(rows)
    finally:
        store.close()


def kill(argv: list[str], out: Path, after_s: float, *, playing: bool) -> None:
    """Start a run and kill it so many seconds after its start, or after its first new row."""
    before, limit = len(finals(out)), time.monotonic() + 60
    with subprocess.Popen(argv) as running:
        try:
            while playing and len(finals(out)) == before:
                assert time.monotonic() < limit, "the run plays nothing"
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.wait(timeout=0.05)
            running.wait(timeout=after_s)
        except subprocess.TimeoutExpired:
            running.kill()


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("kills", "repeats"), [(5, 5), pytest.param(20, 20, marks=pytest.mark.slow)])
def test_a_killed_run_resumes_to_the_same_rows(kills: int, repeats: int, url: str, tmp_path: Path):
    began = time.monotonic()
    subprocess.run(command(url, repeats, tmp_path / "calm"), check=True, timeout=120)
    assert time.monotonic() - began >= kills, "the run is too short to be killed in its middle"
    expected = finals(tmp_path / "calm")
    assert len({row[3] for row in expected}) > 1, "all scores are equal: nothing would be shown"

    chance, middle, out = random.Random(20231019), 0, tmp_path / "killed"
    for n in range(kills):
        playing = n % 7 != 3  # most kills hit a run that plays, some one that still starts
        kill(command(url, repeats, out), out, chance.uniform(0.0, 0.8), playing=playing)
        middle += 0 < len(finals(out)) < len(expected)
    assert middle >= 0.75 * kills, "too few kills hit the run in its middle"
    done = subprocess.run(command(url, repeats, out), timeout=120, check=False)
    assert done.returncode == 0
    assert finals(out) == expected
