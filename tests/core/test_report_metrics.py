"""Metrics beside the headline, under a table: each says in which scale it stands."""

from harness.report.build import build
from harness.report.footnotes import further
from harness.report.run_data import RunData, TaskData
from harness.types import Mean, Row, Unit


def metrics_note(unit: Unit, metrics: dict[str, float]) -> str:
    """The note on a task with these metrics beside a headline of 0.625 in its own scale."""
    found = TaskData(
        "os", "accuracy", unit, 2, rows=[Row("a", 0, "scored", 0.5), Row("b", 0, "scored", 0.75)]
    )
    found.aggregate, found.headline = lambda _: {"accuracy": 0.625, **metrics}, Mean()
    line = build(RunData("r", "m", {"os": found}, {}, {})).tasks["os"]
    assert line.metrics == metrics, "the JSON report keeps every metric in its own scale"
    return further(line)


def test_metrics_beside_a_headline_in_percent_say_which_scale_is_theirs():
    both = {"paper": 0.5, "fixed": 0.625}
    assert metrics_note("percent", both) == "paper 50.00, fixed 62.50"
    others = {"valid": 0.875, "steps": 12.25}
    told = "not in percent: valid 0.875, steps 12.25"
    assert metrics_note("percent", others) == told
    assert metrics_note("percent", others | both) == f"paper 50.00, fixed 62.50; {told}"
    assert metrics_note("points", others) == "valid 0.875, steps 12.25", (
        "the headline is not in percent either"
    )
    parts = {"cell/a": 0.5}
    assert metrics_note("percent", others | parts) == f"{told}; 1 more metrics with --format json"
