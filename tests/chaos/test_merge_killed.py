"""Eight shards, one of them killed in its middle and resumed, report as the run that was not divided."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from command import harness
from killed_runs import finals, kill
from slow_endpoint import slow_server

SHARDS, REPEATS = 8, 4


def run(url: str, out: str, *more: str) -> tuple[str, ...]:
    return (
        "-q", "run", "--model", "agentlm-7b", "--endpoint", url, "--task", "gsm8k", "--mirror", "fixture",
        "--repeats", str(REPEATS), "--concurrency", "2", "--no-report", "--out", out, *more,
    )  # fmt: skip


def told(tmp_path: Path, directory: str) -> str:
    """The JSON report but for its facts about time."""
    text = harness(tmp_path, "report", directory, "--format", "json").stdout
    assert json.loads(text)["complete"]
    text, played = re.subn(r'\n *"played": .*', "", text)
    text, seconds = re.subn(r'"seconds": [0-9.e+-]+', "", text)
    assert (played, seconds) == (1, 1)
    text = re.sub(r"[0-9.]+ (s|min|h) of episodes", "", text)
    return text


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_eight_shards_report_as_one_run(tmp_path: Path):
    with slow_server("0.25") as (_, url):
        assert harness(tmp_path, *run(url, "undivided/all")).returncode == 0
        killed, part = tmp_path / "part5", ("--shard", f"5/{SHARDS}")
        argv = [sys.executable, "-m", "harness", *run(url, str(killed), *part)]
        kill(argv, killed, 0.1, playing=True)
        assert 0 < len(finals(killed)) < 2 * REPEATS, "the kill did not hit the shard in its middle"
        for n in range(1, SHARDS + 1):
            done = harness(tmp_path, *run(url, f"part{n}", "--shard", f"{n}/{SHARDS}"))
            assert done.returncode == 0, done.stderr
        parts = [f"part{n}" for n in range(1, SHARDS + 1)]
        done = harness(tmp_path, "merge", "merged/all", *parts)
        assert done.returncode == 0, done.stderr
        assert told(tmp_path, "merged/all") == told(tmp_path, "undivided/all")

        done = harness(tmp_path, "merge", "most/all", *parts[:2], *parts[3:])
        assert (done.returncode, "shard 3/8 is missing" in done.stdout) == (3, True)
        assert harness(tmp_path, *run(url, "most/all")).returncode == 0
        assert told(tmp_path, "most/all") == told(tmp_path, "undivided/all")
