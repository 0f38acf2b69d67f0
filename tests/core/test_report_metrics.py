"""Metrics beside the headline, under a table: each says in which scale it stands."""

from fnmatch import fnmatchcase

from harness.catalog import registry
from harness.report.build import build
from harness.report.footnotes import further
from harness.report.run_data import RunData, TaskData
from harness.types import Mean, Row, Unit


def metrics_note(unit: Unit, metrics: dict[str, float], shares: tuple[str, ...] = ()) -> str:
    """The note on a task with these metrics beside a headline of 0.625 in its own scale."""
    rows = [Row("a", 0, "scored", 0.5), Row("b", 0, "scored", 0.75)]
    found = TaskData("os", "accuracy", unit, 2, rows=rows, shares=shares)
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
    assert metrics_note("percent", others | parts) == f"{told}; 1 more metric with --format json"


def test_declared_shares_stand_in_the_headlines_unit():
    found = {"steps": 12.25, "f1_easy": 0.5, "f1_hard": 0.25, "f1": 0.8}
    told = metrics_note("percent", found, ("f1_*", "valid"))
    assert told == "f1_easy 50.00, f1_hard 25.00; not in percent: steps 12.25, f1 0.8"
    assert metrics_note("points", found, ("f1_*",)) == "steps 12.25, f1_easy 0.5, f1_hard 0.25, f1 0.8"
    many = {f"f1_{n}": 0.5 for n in range(9)}
    assert metrics_note("percent", many, ("f1_*",)).endswith("f1_5 50.00; 3 more metrics with --format json")


def test_no_task_declares_a_count_as_a_share():
    counts = {"steps", "calls", "turns", "moves", "actions", "rounds", "damage", "subjects", "shots"}
    for name in registry.names():
        spec = registry.load(name).spec
        assert not [key for key in counts if any(fnmatchcase(key, one) for one in spec.shares)], name
        assert spec.unit == "percent" or not spec.shares, name
