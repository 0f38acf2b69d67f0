"""Runs that end early or meet another: a task given up, a time limit, a directory in use."""

from __future__ import annotations

import functools
import json
import os
import signal
from pathlib import Path

import command
import pytest
from playing_command import playing, read_until
from slow_endpoint import slow_server


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    return kept | {"HARNESS_CACHE": str(tmp_path / "cache")}


@pytest.fixture
def harness(tmp_path: Path):
    return functools.partial(command.harness, tmp_path)


def run_words(url: str) -> tuple[str, ...]:
    return (
        "run", "--model", "agentlm-7b", "--endpoint", url, "--task", "gsm8k", "--mirror", "fixture",
        "--no-report", "--out", "mine",
    )  # fmt: skip


def test_a_task_given_up_while_it_waits_for_a_place_takes_no_other_along(harness, tmp_path: Path):
    rows = [{"task": "gsm8k", "sample": f"test/{n}", "replies": ["The answer is 1."]} for n in range(16)]
    (tmp_path / "replies.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = harness(
        "run", "--model", "replay:replies.jsonl", "--task", "gsm8k,humaneval", "--mirror", "fixture",
        "--repeats", "16", "--concurrency", "8", "--out", "mine", "--no-report",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "humaneval did not run" in done.stderr
    report = json.loads(harness("report", "mine", "--format", "json").stdout)
    assert report["tasks"]["gsm8k"]["scored"] == report["tasks"]["gsm8k"]["planned"] == 256


def test_after_the_time_limit_nothing_starts_and_the_same_command_resumes(harness):
    with slow_server("0.5") as (_, url):
        words = (*run_words(url), "--concurrency", "1")
        first = harness(*words, "--time-limit", "1s")
        assert first.returncode == 3, first.stderr
        assert "the time limit of 1 s is over; the same command resumes" in first.stderr
        second = harness(*words, "--time-limit", "5h")
        assert second.returncode == 0, second.stderr


@pytest.mark.parametrize("limit", ["0", "0s", "-5", "nan", "inf", "5w", "", "1e3", "h"])
def test_a_time_limit_that_is_none_names_the_form(harness, limit: str):
    done = harness("run", "--model", "oracle", "--task", "gsm8k", "--time-limit", limit)
    assert done.returncode == 2
    assert "90s, 30m, 5h or 1d" in done.stderr


def test_a_stopped_run_does_not_wait_for_endpoints_that_are_gone(tmp_path: Path, environment):
    with slow_server("0.2") as (server, url):
        words = (*run_words(url), "--concurrency", "2", "--request-deadline", "9000")
        with playing(tmp_path, *words, environment=environment) as running:
            server.kill()
            read_until(running, "no endpoint is alive")
            running.send_signal(signal.SIGTERM)
            assert running.stderr is not None
            rest = running.stderr.read()
            assert running.wait() == 130, rest
    assert "the live episodes are dropped" in rest


def test_a_directory_in_use_is_refused_to_run_and_judge(harness, tmp_path: Path, environment):
    with slow_server("0.5") as (_, url):
        words = (*run_words(url), "--concurrency", "1")
        with playing(tmp_path, *words, environment=environment) as first:
            second = harness(*words)
            judged = harness("judge", "mine", "--judge", "nobody@http://127.0.0.1:9")
        for refused in (second, judged):
            assert refused.returncode == 2, refused.stderr
            assert f"in use by process {first.pid} on " in refused.stderr
        assert harness(*words).returncode == 0, "a dead process holds nothing"
