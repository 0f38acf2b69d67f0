"""Input that cannot be meant: one line that names the fix, exit code 2, and nothing begun."""

from __future__ import annotations

import functools
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import command
import pytest

RUN = ("run", "--task", "gsm8k", "--mirror", "fixture", "--no-report")
ORACLE = (*RUN, "--model", "oracle")


@pytest.fixture
def harness(tmp_path: Path):
    """Runs the command in a folder with an empty file and an empty folder."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    return functools.partial(command.harness, tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*ORACLE, "--samples", ""), "names no sample: write ids with commas between"),
        ((*ORACLE, "--samples", " , "), "names no sample: write ids with commas between"),
        ((*ORACLE, "--out", ""), "an empty path: write a folder, or leave it out"),
        ((*ORACLE, "--out", "file"), "file is a file; give --out a folder that can be written"),
        ((*ORACLE, "--out", "file/a/b"), "file is a file; give --out a folder that can be written"),
        ((*ORACLE, "--repeats", "100000000"), "1,600,000,000 episodes are more than a run holds"),
        (
            (
                *RUN,
                "--task",
                "mmlu",
                "--model",
                "oracle",
                "--set",
                "mmlu.answer=rank",
                "--set",
                "mmlu.answer=generate",
            ),
            "--set mmlu.answer is given as rank and as generate: keep one",
        ),
        ((*ORACLE, "--workers", "2"), "--workers is for --executor ray: give that as well"),
        ((*ORACLE, "--ray-address", "head:6379"), "--ray-address is for --executor ray: give that as well"),
        ((*RUN, "--model", "replay:folder"), "replay file folder is a folder; give a file of JSON lines"),
        ((*RUN, "--model", "replay:"), "replay: names no file; write replay:FILE"),
        ((*RUN, "--model", "replay:file"), "replay file file is empty; harness export RUN --format replay"),
    ],
)
def test_it_is_refused_before_anything_is_begun(harness, words, said: str, tmp_path: Path):
    before = sorted(path.name for path in tmp_path.iterdir())
    done = harness(*words)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
    left = {path.name for path in tmp_path.iterdir()} - {"cache", "locks"}
    assert sorted(left) == before


def test_a_run_in_the_working_folder_has_its_name(harness, tmp_path: Path):
    done = harness("run", "--task", "gsm8k", "--mirror", "fixture", "--model", "oracle", "--out", ".")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"{tmp_path.name} (oracle)"


def test_a_table_of_options_is_aligned_and_fits(harness):
    lines = harness("list", "tasks", "knowledgegraph").stdout.splitlines()
    table = lines[next(n for n, line in enumerate(lines) if line.startswith("option")) :]
    column = table[0].index("meaning")
    assert max(map(len, table)) <= 100
    assert all(line[column - 1] == " " and line[column] != " " for line in table), "in one column"
    assert any(line.startswith("the oracle reaches 60 percent on fixture, paper") for line in lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--limit", "1", "--limit", "2"), "--limit is given twice: keep one"),
        (("run", "--out=a", "--seed=1", "--out", "b", "--out", "c"), "--out is given 3 times: keep one"),
        (("data", "verify", "--mirror", "a", "--mirror", "b"), "--mirror is given twice: keep one"),
    ],
)
def test_one_value_is_not_replaced_by_a_later_one(harness, words: tuple[str, ...], said: str):
    done = harness(*words)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert f"harness {' '.join(words[: 1 + (words[0] == 'data')])} " in done.stderr


def test_what_may_be_repeated_still_may(harness):
    listed = ("--task", "gsm8k", "--task", "mmlu", "--limit", "1", "--ready-only", "--ready-only")
    done = harness("run", *listed, "--model", "oracle", "--mirror", "fixture", "--no-report", "--out", "r")
    assert done.returncode == 0, done.stderr


def test_a_name_that_would_be_cut_is_refused(harness):
    words = ("run", "--model", "oracle", "--task", "gsm8k", "--limit", "1", "--mirror", "fixture", "--name")
    done = harness(*words, "n" * 61)
    assert done.returncode == 2 and "61 characters; write 60 at most" in done.stderr
    assert harness(*words, "n" * 60, "--no-report").returncode == 0


def test_a_file_of_a_newer_harness_is_bad_input(harness, tmp_path: Path):
    run = ("run", "--model", "oracle", "--task", "gsm8k", "--limit", "1", "--mirror", "fixture", "--out", "r")
    assert harness(*run, "--no-report").returncode == 0
    with closing(sqlite3.connect(tmp_path / "r/run.sqlite")) as db:
        db.execute("PRAGMA user_version = 99")
    for words in (run, ("report", "r")):
        done = harness(*words)
        assert done.returncode == 2 and "it has version 99" in done.stderr, done.stderr


def test_an_incomplete_run_is_told_as_such_though_nobody_reads_the_report(harness, tmp_path: Path):
    (tmp_path / "old.jsonl").write_text('{"task": "gsm8k", "sample": "test/0", "replies": ["7"]}\n')
    words = ["run", "--task", "gsm8k", "--mirror", "fixture", "--model", "replay:old.jsonl", "--out", "r"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "harness", *words],
            cwd=tmp_path,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3, done.stderr
    assert "incomplete: gsm8k; the same command resumes" in done.stderr
    assert "BrokenPipe" not in done.stderr and "Traceback" not in done.stderr


def test_recorded_replies_are_called_so(harness, tmp_path: Path):
    (tmp_path / "old.jsonl").write_text('{"task": "gsm8k", "sample": "test/0", "replies": ["7"]}\n')
    words = ("--model", "replay:old.jsonl", "--samples", "test/0", "--out", "r")
    done = harness("run", "--task", "gsm8k", "--mirror", "fixture", *words)
    assert done.returncode == 0, done.stderr
    assert "model: replay:old.jsonl (no model: the replies are a file's)" in done.stdout
    assert "serves" not in done.stdout + done.stderr, "a recording is no other model than the one named"
    assert "1 request;" in done.stdout and "over 1 attempt\n" in done.stdout
