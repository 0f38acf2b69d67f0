"""A run with a limit, repeats, warnings, two replicas and an unjudged task, in every format, byte for byte.

After a change that is meant, write the files anew with HARNESS_GOLDEN=write and read their difference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from command import harness
from stored_runs import stored_run

from harness.report.load import FILE
from harness.storage.store import Store

FOLDER = Path(__file__).parent / "golden"
FORMATS = {"table": "txt", "md": "md", "csv": "csv", "json": "json", "html": "html", "latex": "tex"}
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d to \d\d:\d\d UTC \(\d+ s\)")
VALUES = {"gsm8k": [(1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 1.0)] * 3, "mt_bench": ["pending", 7.0]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    replicas = [{"url": f"http://gpu{n}:8080", "model_sha": "a", "version": "3.3.5"} for n in range(2)]
    directory = stored_run(
        folder / "mine",
        VALUES,
        model="agentlm-7b",
        limit="12",
        repeats=2,
        version=2,
        suites={"general": list(VALUES)},
    )
    store = Store(directory / FILE)
    served = {"id": "THUDM/agentlm-7b", "kind": "tgi", "templates": {"default": {"sha256": "t" * 64}}}
    store.set_meta("model", served | {"endpoints": replicas, "warnings": ["replica 2 was away for a minute"]})
    store.set_meta(
        "chosen", {"gsm8k": {"of": 1319, "limit": {"count": 12, "rule": "spread"}, "named": False}}
    )
    store.set_meta("world/gsm8k", {"notes": ["a note of the world"]})
    store.close()
    return directory


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_is_the_recorded_one(run: Path, form: str, tmp_path: Path) -> None:
    done = harness(tmp_path, "report", str(run), "--format", form, COLUMNS="100")
    assert done.returncode == 0, done.stderr
    shown = MOMENT.sub("MOMENT", done.stdout).replace(str(run.parent), "RUNS")
    golden = FOLDER / f"report.{FORMATS[form]}"
    if os.environ.get("HARNESS_GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(shown, encoding="utf-8")
    assert shown == golden.read_text(encoding="utf-8")
