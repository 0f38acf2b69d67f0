"""The page that shows how to add a benchmark is executed as it stands."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from command import harness


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's files as an installed package."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    page = (root / "docs" / "adding-a-task.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:python|toml|json)\n# (\S+)\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 15
    for name, text in blocks:
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (source / "results" / "runs").mkdir(parents=True)  # as a run leaves behind that is played there
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*pip, "--target", str(folder), str(source)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("tests", "capitals"):
        shutil.copytree(source / part, folder / part)
    return folder


def test_the_benchmark_of_the_page_runs(site, tmp_path):
    assert "guess" in harness(tmp_path, "list", "tasks", site=site).stdout
    assert harness(tmp_path, "doctor", "guess", "--mirror", "fixture", site=site).returncode == 0
    words = ["run", "--model", "oracle", "--task", "guess", "--mirror", "fixture", "--out", "r"]
    done = harness(tmp_path, *words, site=site)
    assert done.returncode == 0, done.stderr
    report = json.loads(harness(tmp_path, "report", "r", "--format", "json", site=site).stdout)
    line = report["tasks"]["guess"]
    assert (line["score"], line["scored"]) == (100.0, 4)
    assert line["metrics"]["score_small"] == line["metrics"]["score_large"] == 1.0


def test_the_single_turn_task_and_the_question_set_of_the_page_run(site, tmp_path):
    tasks = f"sums,{site / 'capitals' / 'capitals.toml'}"
    done = harness(
        tmp_path, "run", "--model", "oracle", "--task", tasks, "--mirror", "fixture", "--out", "r", site=site
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(harness(tmp_path, "report", "r", "--format", "json", site=site).stdout)["tasks"]
    assert {name: (line["score"], line["scored"]) for name, line in found.items()} == {
        "sums": (100.0, 2),
        "capitals": (100.0, 2),
    }


def test_the_contract_test_of_the_page_passes_without_a_plug_in(site):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider"]
    paths = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))
    done = subprocess.run(
        [*command, "tests/test_contract.py"],
        cwd=site,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b75 passed", done.stdout), done.stdout


def test_the_splits_roles_and_options_of_the_page(site, tmp_path):
    (tmp_path / "mirror" / "guess").mkdir(parents=True)
    (tmp_path / "mirror" / "guess" / "practice.json").write_text("[50, 7]")
    doctor = harness(tmp_path, "doctor", "guess", "--mirror", "mirror", site=site).stdout
    assert "guess test: not ready" in doctor
    assert "guess practice: ready" in doctor
    words = ["run", "--model", "oracle", "--task", "guess", "--split", "practice", "--mirror", "mirror"]
    refused = harness(tmp_path, *words, "--profile", "fixed", "--out", "r", site=site)
    assert refused.returncode == 2
    assert "--role hinter=NAME@URL, or --set guess.hint=false" in refused.stderr
    refused = harness(tmp_path, *words, "--set", "guess.turns=0", "--out", "r", site=site)
    assert refused.returncode == 2
    assert "from 1 to 20" in refused.stderr
    done = harness(tmp_path, *words, "--profile", "fixed", "--role", "hinter=oracle", "--out", "r", site=site)
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(tmp_path / "r" / "run.sqlite") as store:
        kept = store.execute("select answer, target, labels, cluster from episode order by sample").fetchall()
    assert [row[:2] for row in kept] == [("50", "50"), ("7", "7")]
    assert [json.loads(row[2]) for row in kept] == [{"size": "small"}] * 2
    assert [row[3] for row in kept] == ["green", "red"]


def test_its_data_is_asked_for(site, tmp_path):
    done = harness(tmp_path, "run", "--model", "oracle", "--task", "guess", site=site)
    assert done.returncode == 2
    assert "write a JSON list of numbers from 1 to 100 to numbers.json" in done.stderr
    mirror = tmp_path / "mirror" / "guess"
    mirror.mkdir(parents=True)
    (mirror / "numbers.json").write_text("[50]")
    done = harness(
        tmp_path, "run", "--model", "oracle", "--task", "guess", "--mirror", "mirror", "--out", "r", site=site
    )
    assert done.returncode == 0, done.stderr


def test_a_binary_search_scores_what_the_page_says(site, tmp_path):
    replies = {"test/0": ["50", "25", "12", "18", "15", "16", "17"], "test/1": ["no idea"]}
    lines = [json.dumps({"task": "guess", "sample": key, "replies": value}) for key, value in replies.items()]
    (tmp_path / "replies.jsonl").write_text("\n".join(lines))
    words = ["--samples", "test/0,test/1", "--mirror", "fixture", "--out", "r"]
    done = harness(tmp_path, "run", "--model", "replay:replies.jsonl", "--task", "guess", *words, site=site)
    assert done.returncode == 0, done.stderr
    report = json.loads(harness(tmp_path, "report", "r", "--format", "json", site=site).stdout)
    values = {e["sample"]: e["value"] for e in report["tasks"]["guess"]["episodes"]}
    assert values == {"test/0": pytest.approx(1 - 6 / 7), "test/1": 0.0}
