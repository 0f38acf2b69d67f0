"""Runs that end early or meet another: a task given up, a time limit, a directory in use."""

from __future__ import annotations

import functools
import itertools
import json
import os
import shutil
import signal
from pathlib import Path

import command
import pytest
from aiohttp import web
from loopback_server import serving_from_a_thread
from playing_command import playing, read_until
from slow_endpoint import slow_server
from typed import typed


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


@pytest.mark.parametrize("gone", [shutil.rmtree, lambda run: run.rename(run.with_name("moved"))])
def test_a_run_whose_folder_is_taken_away_stops_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, caplog: pytest.LogCaptureFixture, gone
):
    monkeypatch.chdir(tmp_path)
    answers = itertools.count(1)

    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("X-Harness-Task") == "gsm8k" and next(answers) == 3:
            gone(tmp_path / "mine")
        message = {"role": "assistant", "content": "The answer is 1."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]}, status=200 if request.method == "POST" else 404)

    with serving_from_a_thread(answer) as (url,):
        words = ("--task", "gsm8k", "--mirror", "fixture", "--decoding", "greedy", "--concurrency", "1")
        words = ("run", "--model", "m@chat", "--endpoint", url, *words, "--repeats", "50", "--out", "mine")
        status, said = typed(capsys, *words)
    assert status == 3, said
    assert "stopped: the run's store mine/run.sqlite is gone" in caplog.text
    assert next(answers) < 400, "it does not play what nothing can keep"


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
