"""Whole runs on the tiny local model: the same transcripts twice, also when one was killed in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command import harness
from tiny_model import needed, write_tiny

from harness.errors import StoreError
from harness.storage.store import Store

WAIT_S = 250.0
RUNS = {
    "greedy": ("gsm8k,mmlu,sciworld,webshop,card_game", ()),
    "sampled": ("gsm8k", ("--repeats", "20", "--temperature", "0.8", "--concurrency", "4")),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny"), positions=8192)


@pytest.fixture(scope="module", params=RUNS)
def whole(request, tiny, tmp_path_factory):
    """The words of a run, the folder in which it was played to its end, and its transcripts."""
    (tasks, more), folder = RUNS[request.param], tmp_path_factory.mktemp("whole")
    done = harness(folder, *run(tiny, tasks, "whole", *more))
    assert done.returncode == 0, done.stderr
    return tasks, more, folder, transcripts(folder / "whole")


def run(tiny: Path, tasks: str, out: str, *more: str) -> tuple[str, ...]:
    """The words of a run of two samples of each task's fixture, or of as many as `more` says."""
    words = ("--mirror", "fixture", "--max-new-tokens", "12", "--seed", "5", "--no-report", "--out", out)
    return ("run", "--task", tasks, "--model", f"hf:{tiny}", "--limit", "2", *words, *more)


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
def test_one_seed_gives_one_transcript(tiny, whole, tmp_path):
    tasks, more, _, first = whole
    done = harness(tmp_path, *run(tiny, tasks, "second", *more))
    assert done.returncode == 0, done.stderr
    assert transcripts(tmp_path / "second") == first
    assert {item.task for item in first} == set(tasks.split(",")) and all(first.values())


@pytest.mark.slow
def test_killed_and_resumed_it_writes_the_same(tiny, whole, tmp_path):
    tasks, more, _, expected = whole
    env = os.environ | {"HARNESS_CACHE": str(tmp_path / "cache")}
    argv = [sys.executable, "-m", "harness", *run(tiny, tasks, "killed", *more)]
    with subprocess.Popen(argv, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as running:
        try:
            limit = time.monotonic() + WAIT_S
            while not transcripts(tmp_path / "killed") and running.poll() is None:
                assert time.monotonic() < limit, "the run plays nothing"
                time.sleep(0.01)
        finally:
            running.kill()
    assert running.returncode == -signal.SIGKILL, "it was killed while it played"
    done = harness(tmp_path, *run(tiny, tasks, "killed", *more))
    assert done.returncode == 0, done.stderr
    assert transcripts(tmp_path / "killed") == expected


@pytest.mark.slow
def test_weights_that_were_never_trained_stand_beside_no_published_score(whole):
    *_, folder, _ = whole
    told = harness(folder, "report", "whole", "--normalize", "gpt4")
    assert "\ncomparable: no (random weights)\n" in told.stdout, told.stdout
    found = json.loads(harness(folder, "report", "whole", "--normalize", "gpt4", "--format", "json").stdout)
    for name, task in found["tasks"].items():
        assert task["relative"] is None, name
        assert any("not comparable" in note and "random weights" in note for note in task["notes"]), task


def test_a_run_of_another_model_imports_no_torch(tmp_path):
    needed("torch")
    program = "import sys\nfrom harness.cli import main\n"
    program += "try:\n    main()\nfinally:\n    print({*sys.modules} & {'torch'})"
    words = ("run", "--task", "gsm8k,mmlu", "--model", "oracle", "--limit", "1", "--mirror", "fixture")
    env = os.environ | {"HARNESS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--no-report", "--out", "oracle"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()" and len(transcripts(tmp_path / "oracle")) == 2


def test_a_run_loads_the_weights_once_for_its_check_and_its_play(tiny, tmp_path):
    done = harness(tmp_path, *run(tiny, "gsm8k", "once"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"loading the weights of {tiny}") == 1
