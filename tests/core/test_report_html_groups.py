"""The plot of `report --by`: a bar for each group and run, with its interval, and all numbers as a table."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from drawn_reports import drawn

from harness.report.breakdown import break_down
from harness.report.html.figure import runs_of
from harness.report.html.groups import MOST, groups
from harness.report.render import render
from harness.report.result import Report

HOSTILE = "<script>canary()</script>\"'\x1b[2J"


def labelled(*, values: int = 3, seed: int = 1, task: str = "hotpotqa", name: str = "a") -> Report:
    """A report of which one task's samples carry a label with so many values."""
    report = drawn(name, seed=seed)
    data = report.tasks[task].data
    data.rows = [replace(row, labels={"level": f"l{n % values:03}"}) for n, row in enumerate(data.rows)]
    break_down([report], ["level"])
    return report


def figure(*reports: Report) -> ET.Element:
    found = groups(runs_of(reports))
    assert found is not None
    return ET.fromstring(found.html("plot-9"))


def of(section: ET.Element, look: str) -> list[ET.Element]:
    return [one for one in section.iter() if look in (one.get("class") or "").split()]


def table(section: ET.Element) -> list[list[str]]:
    return [["".join(cell.itertext()) for cell in row] for row in section.iter("tr")]


def test_bars_and_numbers_are_those_of_the_groups():
    report = labelled()
    section = figure(report)
    told = report.tasks["hotpotqa"].groups
    assert [one.text for one in section.iter("h3")] == ["hotpotqa by level"]
    widths = [float((bar.get("width") or "").rstrip("%")) for bar in of(section, "bar")]
    assert widths == pytest.approx([group.score for group in told], abs=0.006)
    assert len(of(section, "whisker")) == len(told) == 3
    header, *rows = table(section)
    assert header == ["task", "run", "label", "value", "score", "low", "high", "episodes"]
    assert rows[0][:4] == ["hotpotqa", "a", "level", "l000"] and rows[0][-1] == "40"
    assert [float(row[4]) for row in rows] == pytest.approx([group.score for group in told], abs=0.006)
    assert [float(row[5]) for row in rows] == pytest.approx([group.ci[0] for group in told], abs=0.006)


def test_points_use_the_whole_width():
    report = labelled(task="mt_bench")
    (first, *_) = of(figure(report), "bar")
    score = report.tasks["mt_bench"].groups[0].score
    assert float((first.get("width") or "").rstrip("%")) == pytest.approx(score * 10, abs=0.006)


def test_runs_lie_beside_each_other_and_a_group_that_one_lacks_is_said():
    section = figure(labelled(), labelled(values=2, seed=2, name="b"))
    assert len(of(section, "bar")) == 5
    assert [one.text for one in of(section, "instead")] == ["not in this run"]
    assert len(table(section)) == 1 + 5


def test_very_many_groups_are_all_in_the_numbers():
    section = figure(labelled(values=MOST + 10))
    assert len(of(section, "bar")) == MOST
    assert len(table(section)) == 1 + MOST + 10
    assert "10 more groups stand in the numbers below." in "".join(section.itertext())


def test_it_stands_on_the_page_only_when_asked_for_and_no_label_runs():
    assert "Scores by group" not in render([drawn()], "html")
    report = labelled()
    rows = report.tasks["hotpotqa"].data.rows
    report.tasks["hotpotqa"].data.rows = [replace(row, labels={HOSTILE: HOSTILE}) for row in rows]
    break_down([report], [HOSTILE])
    page = render([report], "html")
    assert "Scores by group" in page
    assert "canary()" in page and "<script" not in page and "\x1b" not in page
