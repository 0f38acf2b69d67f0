"""The command line as a user meets it: exit codes, messages, resuming, bad input."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import command
import pytest
from playing_command import playing
from slow_endpoint import QUESTIONS, slow_server

RUN = ("run", "--model", "oracle", "--task", "gsm8k", "--mirror", "fixture", "--no-report")


@pytest.fixture
def harness(tmp_path: Path):
    """Runs the command in an empty folder without any data around."""
    return functools.partial(command.harness, tmp_path)


@pytest.fixture
def slow_url() -> Iterator[str]:
    with slow_server("0.3") as (_, url):
        yield url


def test_the_mission_command_without_endpoint_or_data_explains_itself(harness, tmp_path: Path):
    done = harness("run", "--model", "agentlm-70b", "--suite", "held-out")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    for task in ("sciworld", "miniwob", "webarena", "hotpotqa", "rewoo", "card_game"):
        assert any(line.strip().startswith(f"{task}: ") for line in lines), f"{task} is not explained"
    assert any("no endpoint answers" in line and "--endpoint" in line for line in lines)
    assert not (tmp_path / "results").exists(), "nothing was begun"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("run", "--model", "agentlm70b", "--task", "gsm8k", "--mirror", "fixture"),
            "did you mean agentlm-70b",
        ),
        (("run", "--model", "oracle", "--task", "gms8k"), "did you mean gsm8k"),
        (("run", "--model", "oracle", "--suite", "heldout"), "did you mean held-out"),
        (("run", "--model", "oracle"), "give --suite or --task"),
        ((*RUN, "--set", "gsm8k.x=1"), "has no options"),
        ((*RUN, "--samples", "test/99"), "unknown sample"),
        ((*RUN, "--split", "dev"), "has no split 'dev': choose one of test"),
        ((*RUN, "--shard", "3/2"), "write i/n"),
        ((*RUN, "--limit", "0"), "write N or first:N"),
        ((*RUN, "--limit", "last:3"), "write N or first:N"),
        ((*RUN, "--suite", "held-in"), "gsm8k is not in held-in"),
        ((*RUN, "--suite", "general,held-in", "--task", "gms8k"), "did you mean gsm8k"),
        ((*RUN, "--role", "judge"), "ROLE=NAME@URL"),
        (
            ("run", "--model", "replay:missing.jsonl", "--task", "gsm8k", "--mirror", "fixture"),
            "missing.jsonl",
        ),
        (("run", "--model", "oracle", "--task", "gsm8k", "--mirror", "nowhere"), "is not a folder"),
        (("run", "--model", "oracle", "--task", "gsm8k"), "harness data pull gsm8k"),
        (("report", "reference:gpt4"), "did you mean gpt-4"),
        (("report",), "no run under"),
        (("report", "reference:gpt-4", "--normalize", "mean"), "none, gpt4, agenttuning, or model:RUN"),
        (("judge", "nothing", "--judge", "x"), "reference:NAME"),
        (("doctor", "gms8k"), "did you mean gsm8k"),
        (("frobnicate",), "No such command"),
    ],
)
def test_bad_input_names_the_fix_and_exits_2(harness, words: tuple[str, ...], message: str):
    done = harness(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_reports_resumes_and_refuses_another_configuration(harness, tmp_path: Path):
    first = harness(*RUN, "--out", "mine")
    assert first.returncode == 0, first.stderr
    again = harness(*RUN, "--out", "mine")
    assert (again.returncode, "complete already" in again.stderr) == (0, True)
    other = harness(*RUN, "--out", "mine", "--seed", "5", "--profile", "fixed")
    assert other.returncode == 2
    assert 'profile: "paper" there, "fixed" here' in other.stderr
    assert "seed: 0 there, 5 here" in other.stderr
    report = json.loads(harness("report", "mine", "--format", "json").stdout)
    assert report["tasks"]["gsm8k"]["scored"] == report["tasks"]["gsm8k"]["planned"] == 16
    assert report["tasks"]["gsm8k"]["score"] == pytest.approx(93.75)
    assert report["tasks"]["gsm8k"]["episodes"][0]["metrics"].keys() >= {"paper", "fixed"}


def test_run_directories_are_named_by_what_was_asked(harness, tmp_path: Path):
    for extra in ((), ("--name", "two"), ("--limit", "3")):
        assert harness(*RUN, *extra).returncode == 0
    names = sorted(path.name for path in (tmp_path / "results/runs").iterdir())
    assert len(names) == 3
    assert all(name.startswith("oracle-gsm8k-") for name in names)
    assert sum(name.endswith("-two") for name in names) == 1
    assert harness("report").returncode == 0, "the newest run is the default"
    first, *listed = harness("list", "runs").stdout.splitlines()
    assert first.split()[0] == "run" and sum("16/16" in line for line in listed) == 2
    assert all(" oracle " in line and " gsm8k " in line for line in listed)
    assert sum("gsm8k 93.75" in line for line in listed) == 2


def test_a_corrupt_file_is_named_with_both_hashes(harness, tmp_path: Path):
    shutil.copytree(QUESTIONS.parents[2], tmp_path / "mirror/gsm8k")
    done = harness("run", "--model", "oracle", "--task", "gsm8k", "--mirror", "mirror")
    assert done.returncode == 2
    found = hashlib.sha256(QUESTIONS.read_bytes()).hexdigest()
    assert found in done.stderr
    assert "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14" in done.stderr


def test_ready_only_leaves_out_what_is_missing(harness, tmp_path: Path):
    done = harness("run", "--model", "oracle", "--suite", "general", "--ready-only")
    assert done.returncode == 2, "nothing at all is ready without data"
    shutil.copytree(QUESTIONS.parents[4] / "teval" / "fixture", tmp_path / "mirror/teval")  # has no pins
    words = ("--ready-only", "--mirror", "mirror", "--limit", "1", "--out", "part")
    ready = harness("run", "--model", "oracle", "--suite", "agentflan-heldout", *words)
    assert "left out: hotpotqa" in ready.stderr
    data = json.loads(harness("report", "part", "--format", "json").stdout)
    assert data["suites"]["agentflan-heldout"]["partial"] is not None
    assert harness("report", "part", "--strict").returncode == 3


def test_a_task_beside_a_suite_chooses_among_its_tasks(harness):
    done = harness(*RUN, "--suite", "general", "--limit", "3", "--out", "one")
    assert done.returncode == 0, done.stderr
    data = json.loads(harness("report", "one", "--format", "json").stdout)
    assert (list(data["tasks"]), data["suites"]["general"]["partial"]) == (["gsm8k"], "1/4")
    assert data["tasks"]["gsm8k"]["planned"] == 3
    assert "3 of 16 samples, spread over the task" in data["tasks"]["gsm8k"]["notes"]
    assert data["head"]["samples"] == "--limit 3"


def test_an_unknown_sample_in_a_replay_is_an_infra_error_that_names_it(harness, tmp_path: Path):
    rows = [{"task": "gsm8k", "sample": f"test/{n}", "replies": ["The answer is 1."]} for n in range(12)]
    (tmp_path / "replies.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = (
        "--model",
        "replay:replies.jsonl",
        "--task",
        "gsm8k",
        "--mirror",
        "fixture",
        "--out",
        "r",
        "--no-report",
    )
    done = harness("run", *words)
    assert done.returncode == 3
    assert "test/13" in done.stderr
    report = harness("report", "r", "--format", "json")
    assert report.returncode == 3
    line = json.loads(report.stdout)["tasks"]["gsm8k"]
    assert (line["scored"], line["infra_error"], line["score"]) == (12, 4, None)
    full = [*rows, *({"task": "gsm8k", "sample": f"test/{n}", "replies": ["7"]} for n in range(12, 16))]
    (tmp_path / "replies.jsonl").write_text("\n".join(map(json.dumps, full)))
    mended = harness("run", *words, "--retry", "infra")
    assert mended.returncode == 0, mended.stderr


def test_a_file_in_place_of_the_run_directory_stops_before_any_work(harness, tmp_path: Path):
    (tmp_path / "blocked").write_text("a file where the run directory should be")
    done = harness(*RUN, "--out", "blocked")
    assert done.returncode == 2
    assert done.stderr == (
        "harness: blocked cannot be a run directory: blocked is a file; "
        "give --out a folder that can be written\n"
    )


def test_ctrl_c_drains_and_the_same_command_finishes(harness, slow_url: str, tmp_path: Path):
    words = (
        "run", "--model", "agentlm-7b", "--endpoint", slow_url, "--task", "gsm8k", "--mirror", "fixture",
        "--concurrency", "2", "--out", str(tmp_path / "r"), "--no-report",
    )  # fmt: skip
    with playing(tmp_path, *words) as running:
        wait_for_first_row(tmp_path / "r/run.sqlite", running)
        running.send_signal(signal.SIGINT)
        assert running.stderr is not None
        assert running.stderr.read().endswith("\ninterrupted; the same command resumes\n")
        assert running.wait(timeout=60) == 130
    kept = rows(tmp_path / "r/run.sqlite")
    assert 0 < kept < 16
    assert harness(*words).returncode == 0
    assert rows(tmp_path / "r/run.sqlite") == 16


def rows(path: Path) -> int:
    try:
        with sqlite3.connect(path) as database:
            return database.execute("SELECT count(*) FROM episode WHERE final = 1").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def wait_for_first_row(path: Path, running: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if rows(path):
            return
        try:
            running.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
    pytest.fail("no row was ever committed")


def test_an_endpoint_that_never_answers_is_a_missing_part(harness):
    words = ("run", "--model", "agentlm-7b", "--task", "gsm8k", "--mirror", "fixture")
    done = harness(*words, "--endpoint", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "no endpoint answers" in done.stderr


def test_an_endpoint_that_dies_for_good_ends_in_exit_3_and_the_run_resumes(harness, tmp_path: Path):
    words = [
        "run", "--model", "agentlm-7b", "--task", "gsm8k", "--mirror", "fixture", "--concurrency", "2",
        "--request-deadline", "3", "--out", str(tmp_path / "r"), "--no-report", "--endpoint",
    ]  # fmt: skip
    with slow_server("0.3") as (server, url):
        started = [sys.executable, "-m", "harness", *words, url]
        with subprocess.Popen(started, cwd=tmp_path) as running:
            wait_for_first_row(tmp_path / "r/run.sqlite", running)
            server.kill()
            assert running.wait(timeout=100) == 3
    assert 0 < rows(tmp_path / "r/run.sqlite") < 16
    with slow_server("0.01", url.rpartition(":")[2]) as (_, back):
        assert harness(*words, back).returncode == 0
    assert rows(tmp_path / "r/run.sqlite") == 16


def test_a_shard_without_episodes_says_so(harness, tmp_path: Path):
    words = ("--limit", "2", "--shard", "3/3", "--no-report", "--out", "r")
    done = harness("run", "--model", "oracle", "--task", "gsm8k", "--mirror", "fixture", *words)
    assert done.returncode == 0, done.stderr
    assert "this shard has no episodes" in done.stderr and "complete already" not in done.stderr


def test_shards_divide_the_plan(harness, tmp_path: Path):
    seen: list[str] = []
    for index in (1, 2, 3):
        out = f"shard{index}"
        assert harness(*RUN, "--shard", f"{index}/3", "--out", out).returncode == 0
        data = json.loads(harness("report", out, "--format", "json").stdout)
        seen += [episode["sample"] for episode in data["tasks"]["gsm8k"]["episodes"]]
    assert sorted(seen) == sorted(f"test/{n}" for n in range(16))


def test_lists_and_doctor_speak_for_every_task(harness):
    tasks = harness("list", "tasks").stdout
    assert "card_game" in tasks
    (gsm8k,) = [line for line in tasks.splitlines() if line.startswith("gsm8k")]
    assert "1319" in gsm8k and "lacks" in gsm8k and "Grade-school" in gsm8k
    assert "ready" in harness("list", "tasks", "--mirror", "fixture").stdout
    assert "paper" in harness("list", "tasks", "mmlu").stdout
    assert "agentlm-70b" in harness("list", "models").stdout
    assert "held-out" in harness("list", "suites").stdout
    doctor = harness("doctor", "gsm8k")
    assert doctor.returncode == 2
    assert "fix: harness data pull gsm8k" in doctor.stdout


def test_a_reader_that_goes_away_is_no_failure(tmp_path: Path):
    """As in `harness list tasks | head -0`."""
    started = [sys.executable, "-m", "harness", "list", "tasks"]
    with subprocess.Popen(started, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        assert (process.wait(60), said) == (0, b"")
