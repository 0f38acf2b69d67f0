"""The gate on real runs of the suite `demo`, which the oracle plays on the fixtures."""

import json
import re
from pathlib import Path

import pytest
from command import harness
from rating_judge import rating_judge

JUDGED = "mt_bench"


def gate(cwd: Path, *words: str) -> tuple[int, dict[str, dict[str, object]]]:
    done = harness(cwd, "gate", *words, "--format", "json")
    return done.returncode, json.loads(done.stdout)["tasks"]


@pytest.mark.slow
def test_two_oracle_runs_pass_and_a_judge_or_a_version_that_moved_does_not(tmp_path: Path):
    for name in ("a", "b"):
        words = ("run", "--model", "oracle", "--suite", "demo", "--ready-only", "--no-report")
        done = harness(tmp_path, *words, "--out", f"d/{name}")
        assert done.returncode == 0, done.stderr
    assert harness(tmp_path, "gate", "d/a", "--save", "base.json").returncode == 0
    code, found = gate(tmp_path, "d/b", "--baseline", "base.json")
    assert code == 0, found
    waiting = (JUDGED, "teval")
    assert {found[name]["verdict"] for name in waiting} == {"not judged"}, "they wait in both"
    others = {name: one["verdict"] for name, one in found.items() if name not in waiting}
    assert len(others) >= 8 and set(others.values()) == {"pass"}, others
    assert {one["flips"] for one in found.values()} == {0.0}

    text = (tmp_path / "base.json").read_text()
    raised = re.sub(r'(?<="version":)(\d+)', lambda version: str(int(version[0]) + 1), text)
    assert raised != text
    (tmp_path / "raised.json").write_text(raised)
    code, found = gate(tmp_path, "d/b", "--baseline", "raised.json")
    assert code == 2
    assert "version" in str(found["gsm8k"]["reason"])

    with rating_judge() as judge:
        done = harness(tmp_path, "judge", "d/a", "--judge", f"scripted@{judge}", "--mirror", "fixture")
        assert done.returncode == 0, done.stderr
    assert harness(tmp_path, "gate", "d/a", "--save", "judged.json").returncode == 0
    code, found = gate(tmp_path, "d/b", "--baseline", "judged.json")
    assert code == 3
    assert (found[JUDGED]["verdict"], found["gsm8k"]["verdict"]) == ("no verdict", "pass")
