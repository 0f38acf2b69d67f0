"""Whole runs on the tiny local model: the same transcripts twice, also when one was killed in between."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command import harness
from tiny_model import write_tiny

from harness.errors import StoreError
from harness.storage.store import Store

WAIT_S = 120.0


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny"), positions=8192)


def run(tiny: Path, tasks: str, out: str, *more: str) -> tuple[str, ...]:
    """The words of a run of three samples of each task's fixture, or of as many as `more` says."""
    words = ("--mirror", "fixture", "--max-new-tokens", "12", "--seed", "5", "--no-report", "--out", out)
    return ("run", "--task", tasks, "--model", f"hf:{tiny}", "--limit", "3", *words, *more)


def transcripts(folder: Path) -> dict[Any, list[tuple[str, str]]]:
    """Prompts, as their messages, and replies of every final episode; none while the file is being made."""
    try:
        store = Store(folder / "run.sqlite", readonly=True)
    except StoreError:
        return {}
    try:
        return {
            one.item: [
                (repr(call.turn and (call.turn.messages, call.turn.raw)), call.reply)
                for call in store.calls(one.id)
            ]
            for one in store.attempts(final_only=True)
        }
    finally:
        store.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "more"),
    [("gsm8k,mmlu", ()), ("gsm8k,sciworld", ("--temperature", "0.8"))],
    ids=["greedy", "sampled"],
)
def test_one_seed_gives_one_transcript(tiny, tmp_path, tasks, more):
    for out in ("first", "second"):
        done = harness(tmp_path, *run(tiny, tasks, out, *more))
        assert done.returncode == 0, done.stderr
    first, second = transcripts(tmp_path / "first"), transcripts(tmp_path / "second")
    assert first == second
    assert len(first) == 6 and all(first.values())


def test_a_run_loads_the_weights_once_for_its_check_and_its_play(tiny, tmp_path):
    done = harness(tmp_path, *run(tiny, "gsm8k", "once"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"loading the weights of {tiny}") == 1


@pytest.mark.slow
def test_killed_and_resumed_it_writes_the_same(tiny, tmp_path):
    more = ("--repeats", "20", "--temperature", "0.8", "--concurrency", "4")
    done = harness(tmp_path, *run(tiny, "gsm8k", "whole", *more))
    assert done.returncode == 0, done.stderr
    env = os.environ | {"HARNESS_CACHE": str(tmp_path / "cache")}
    argv = [sys.executable, "-m", "harness", *run(tiny, "gsm8k", "killed", *more)]
    with subprocess.Popen(argv, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as running:
        try:
            limit = time.monotonic() + WAIT_S
            while not transcripts(tmp_path / "killed") and running.poll() is None:
                assert time.monotonic() < limit, "the run plays nothing"
                time.sleep(0.01)
        finally:
            running.kill()
    done = harness(tmp_path, *run(tiny, "gsm8k", "killed", *more))
    assert done.returncode == 0, done.stderr
    whole = transcripts(tmp_path / "whole")
    assert transcripts(tmp_path / "killed") == whole and len(whole) == 60
