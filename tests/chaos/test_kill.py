"""Kill -9 at random moments: the same command resumes, and nothing is lost, doubled or changed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.store import Store

REPEATS, DELAY_S, IN_FLIGHT, KILLS = 20, 0.25, 4, 20
SERVER = Path(__file__).with_name("slow_server.py")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [sys.executable, str(SERVER), str(DELAY_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdin is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()
        server.wait(timeout=20)


def command(url: str, out: Path) -> list[str]:
    return [
        sys.executable, "-m", "harness", "-q", "run", "--model", "agentlm-7b", "--endpoint", url,
        "--task", "gsm8k", "--mirror", "fixture", "--repeats", str(REPEATS),
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


@pytest.mark.timeout(400)
def test_a_killed_run_resumes_to_the_same_rows(url: str, tmp_path: Path):
    began = time.monotonic()
    subprocess.run(command(url, tmp_path / "calm"), check=True, timeout=120)
    assert time.monotonic() - began >= 20, "the run is too short to be killed in its middle"
    expected = finals(tmp_path / "calm")
    assert len({row[3] for row in expected}) > 1, "all scores are equal: nothing would be shown"

    chance, middle, out = random.Random(20231019), 0, tmp_path / "killed"
    for _ in range(KILLS):
        with subprocess.Popen(command(url, out)) as running:
            try:
                running.wait(timeout=chance.uniform(0.9, 2.2))
            except subprocess.TimeoutExpired:
                running.kill()
        middle += 0 < len(finals(out)) < len(expected)
    assert middle >= 15, "too few kills hit the run in its middle"
    done = subprocess.run(command(url, out), timeout=120, check=False)
    assert done.returncode == 0
    assert finals(out) == expected
