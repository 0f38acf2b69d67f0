"""`report --leaks`: each task's score by whether its prompt held the question's answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import harness
from stored_runs import stored_run

from harness.report import leaks
from harness.report.build import build
from harness.report.run_data import RunData, TaskData
from harness.types import Row, mean


def report(**tasks: list[Row]):
    data = {
        name: TaskData(name, "m", "percent", planned=len(rows), rows=rows, aggregate=lambda r: {"m": mean(r)})
        for name, rows in tasks.items()
    }
    return build(RunData("r", "m", data, {}))


def rows(names: list[str], leaked: set[str]) -> list[Row]:
    return [
        Row(name, 0, "scored", float(name in leaked), {"exemplar_leak": 1.0} if name in leaked else {})
        for name in names
    ]


def test_tasks_with_leaked_episodes_are_split():
    found = leaks.split(
        report(
            hotpotqa=rows(["medium/015", "medium/016", "medium/017"], {"medium/015"}),
            gsm8k=rows(["test/0", "test/1"], set()),
            not_installed=rows(["a"], {"a"}),
        ).tasks
    )
    told = {name: [(one.value, one.count, one.score) for one in groups] for name, groups in found.items()}
    assert told == {"hotpotqa": [("leaked", 1, 100.0), ("rest", 2, 0.0)]}
    assert list(leaks.lines(found)) == ["  hotpotqa: leaked 100.00 (n = 1), rest 0.00 [0.00, 65.76] (n = 2)"]


def test_webshops_exemplar_is_known_by_its_goal():
    plain = [Row(str(n), 0, "scored", n / 20) for n in (12, 13, 14)]
    groups = leaks.split(report(webshop=plain).tasks)["webshop"]
    assert [(one.value, one.count, one.score) for one in groups] == [
        ("leaked", 1, 65.0),
        ("rest", 2, pytest.approx(65.0)),
    ]


def test_all_episodes_may_be_leaked():
    groups = leaks.split(report(rewoo=rows(["gsm8k/02"], {"gsm8k/02"})).tasks)["rewoo"]
    assert [(one.count, one.score) for one in groups] == [(1, 100.0), (0, None)]


def test_the_command_prints_one_table(tmp_path: Path):
    stored_run(tmp_path / "run", {"webshop": [1.0, 0.5]})
    done = harness(tmp_path, "report", "run", "--leaks", "--format", "json")
    assert json.loads(done.stdout)["leaks"] == {}, "no episode of goal 13"
    assert "leaks of run: none" in harness(tmp_path, "report", "run", "--leaks").stdout
