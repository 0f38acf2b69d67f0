"""Loading from the hub: an unreachable hub is explained, and its own row type is written as it should be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.data import quiet
from tasks.gsm8k import prepare
from tasks.mmlu.prepare import by_subject

datasets = pytest.importorskip("datasets")


@pytest.mark.parametrize("task", ["gsm8k", pytest.param("mmlu", marks=pytest.mark.full)])
def test_an_unreachable_hub_is_one_line_with_a_way_out(task: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness", "data", "prepare", task, "--from", "hub"]
    places = {"HF_HOME": str(tmp_path / "hf"), "HARNESS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        command,
        env=os.environ | places | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "cannot be downloaded from the hub" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "cache").rglob("*.jsonl")) and not list((tmp_path / "cache").rglob("*.csv"))


def test_rows_of_the_hubs_own_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = datasets.Dataset.from_list([{"question": "1 + 1\u2019?", "answer": "2\n#### 2"}])
    monkeypatch.setattr(prepare.hub, "rows", lambda *_: rows)
    written = prepare.prepare(Path("hub"), tmp_path, quiet)[1].read_text()
    assert written == '{"question": "1 + 1\\u2019?", "answer": "2\\n#### 2"}\n'
    row = {"question": "q", "subject": "anatomy", "choices": ["a", "None", "c", "d"], "answer": 1}
    assert by_subject(datasets.Dataset.from_list([row])) == {"anatomy": [["q", "a", "None", "c", "d", "B"]]}
