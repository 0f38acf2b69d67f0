"""A run of store version 1 goes on: it is resumed, reported and judged by this version."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import harness
from older_reports import numbers
from rating_judge import rating_judge

from harness.catalog import registry

WAVE_1 = Path(__file__).parent.parent / "core" / "wave1"
TASKS = ("--task", "gsm8k", "--task", "mmlu", "--task", "mt_bench", "--limit", "first:4")
RUN = ("run", "--model", "oracle", "--mirror", "fixture", *TASKS, "--no-report")


@pytest.fixture
def judge() -> Iterator[str]:
    with rating_judge() as url:
        yield url


def as_if_no_task_had_moved(source: Path, run: Path) -> None:
    """Copy a run, and give its tasks the versions of today: only the same version of a task goes on."""
    shutil.copytree(source, run)
    with sqlite3.connect(run / "run.sqlite") as store:
        config = json.loads(store.execute("select value from meta where key = 'config'").fetchone()[0])
        for name, chosen in config["tasks"].items():
            chosen["version"] = registry.load(name).spec.version
            for table in ("plan", "episode"):
                store.execute(f"update {table} set version = ? where task = ?", (chosen["version"], name))
        store.execute("update meta set value = ? where key = 'config'", (json.dumps(config),))
    store.close()


def test_a_run_of_other_versions_of_its_tasks_is_refused_by_name_and_kept(tmp_path: Path):
    shutil.copytree(WAVE_1 / "interrupted", tmp_path / "r")
    before = harness(tmp_path, "report", "r", "--format", "json").stdout
    refused = harness(tmp_path, *RUN, "--out", "r")
    assert refused.returncode == 2
    assert "tasks.gsm8k.version: 1 there, 2 here" in refused.stderr
    assert harness(tmp_path, "report", "r", "--format", "json").stdout == before


def test_an_interrupted_run_is_completed_and_reports_what_the_whole_one_did(tmp_path: Path):
    as_if_no_task_had_moved(WAVE_1 / "interrupted", tmp_path / "r")
    before = json.loads(harness(tmp_path, "report", "r", "--format", "json").stdout)
    assert sum(len(task["episodes"]) for task in before["tasks"].values()) < 12
    done = harness(tmp_path, *RUN, "--out", "r")
    assert done.returncode == 0, done.stderr
    after = json.loads(harness(tmp_path, "report", "r", "--format", "json").stdout)
    whole = json.loads((WAVE_1 / "report.json").read_text(encoding="utf-8"))
    assert numbers(after) == numbers(whole)


def test_a_complete_run_is_not_played_again_and_can_be_judged(tmp_path: Path, judge: str):
    as_if_no_task_had_moved(WAVE_1, tmp_path / "r")
    again = harness(tmp_path, *RUN, "--out", "r")
    assert again.returncode == 0, again.stderr
    assert "complete already" in again.stderr
    done = harness(tmp_path, "judge", "r", "--judge", f"scripted@{judge}", "--mirror", "fixture")
    assert done.returncode == 0, done.stderr
    found = json.loads(harness(tmp_path, "report", "r", "--format", "json").stdout)["tasks"]["mt_bench"]
    assert found["score"] == 7.0
    assert len(found["episodes"]) == 4


def test_samples_that_are_labelled_otherwise_are_refused_by_name(tmp_path: Path):
    """As when a newer version of a task groups its samples in another way."""
    assert harness(tmp_path, *RUN, "--out", "r").returncode == 0
    with sqlite3.connect(tmp_path / "r" / "run.sqlite") as store:
        (label,) = store.execute("select labels from episode where task = 'mmlu' limit 1").fetchone()
        assert json.loads(label), "a sample of mmlu has no label"
        store.execute("""update episode set labels = '{"subject": "other"}' where task = 'mmlu'""")
        labels = json.loads(store.execute("select value from meta where key = 'labels'").fetchone()[0])
        known = json.dumps({**labels, "mmlu": "another"})
        store.execute("update meta set value = ? where key = 'labels'", (known,))
    refused = harness(tmp_path, *RUN, "--out", "r")
    assert refused.returncode == 2
    assert "holds mmlu test/abstract_algebra/0 with labels {'subject': 'other'}" in refused.stderr


def test_recorded_replies_keep_their_value_under_paper(tmp_path: Path):
    """The rules under `fixed` move from version to version; what upstream would read does not."""
    shutil.copytree(WAVE_1, tmp_path / "r")
    done = harness(tmp_path, "export", "r", "replies.jsonl", "--format", "replay")
    assert done.returncode == 0, done.stderr
    graded = [*TASKS[:4], *TASKS[6:]]  # MT-Bench's value is a judge's
    words = ("--model", "replay:replies.jsonl", "--mirror", "fixture", *graded, "--no-report", "--out", "new")
    done = harness(tmp_path, "run", *words)
    assert done.returncode == 0, done.stderr
    reports = [
        json.loads(harness(tmp_path, "report", run, "--format", "json").stdout) for run in ("r", "new")
    ]
    before, after = (
        {
            (task, one["sample"]): (one["value"], one["metrics"].get("paper"))
            for task in ("gsm8k", "mmlu")
            for one in report["tasks"][task]["episodes"]
        }
        for report in reports
    )
    assert before == after and len(before) == 8
    assert {value for value, _ in before.values()} == {0.0, 1.0}, "right ones and wrong ones"
