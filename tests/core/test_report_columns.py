"""Columns are the rows they were made of, with the same averages and the standard library's JSON."""

import json
import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.episode import BaseTask
from harness.report.columns import Columns, outcomes, with_texts
from harness.report.document import pieces
from harness.report.result import Report, SuiteResult, TaskResult
from harness.report.run_data import TaskData
from harness.storage.reader import Texts
from harness.types import Macro, Row, TaskSpec, by, mean, metric_means

NUMBERS = st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.booleans())
ROWS = st.lists(
    st.builds(
        Row,
        st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
        st.integers(0, 3),
        st.sampled_from(["scored", "limit", "model_error"]),
        st.floats(0, 1),
        st.dictionaries(st.sampled_from(["paper", "fixed", 'a"b\n', "é", "turns"]), NUMBERS, max_size=4),
        st.sampled_from([{}, {"kind": "a"}, {"kind": "b", "level": "1"}]),
        st.sampled_from(["", "c"]),
    ),
    max_size=30,
)


class Spread(BaseTask):
    spec = TaskSpec("spread", 1, "general", "accuracy", headline=Macro("kind"))


def columns(rows):
    table = Columns()
    for n, row in enumerate(rows):
        table.add(row, id=n)
    return table


def same(ours, theirs):
    """Equal, NaN beside NaN, and integers apart from floats."""
    return repr(ours) == repr(theirs)


@given(ROWS)
@settings(deadline=None)
def test_rows_come_back_as_they_were(rows):
    table = columns(rows)
    assert same(list(table), rows)
    assert len(table) == len(rows)
    assert same(table[1:], rows[1:])
    if rows:
        assert same([table[-1], table[0]], [rows[-1], rows[0]])
    table.sort()
    assert same(list(table), sorted(rows, key=lambda row: (row.sample, row.repeat)))
    assert {name: count for name, count in outcomes(table).items() if count} == outcomes(rows)


@given(ROWS.filter(bool))
@settings(deadline=None)
def test_averages_of_columns_are_those_of_rows_to_the_bit(rows):
    table = columns(rows)
    assert mean(table) == mean(rows)
    assert list(by(table, "kind").items()) == list(by(rows, "kind").items())
    assert same(metric_means(table), metric_means(rows))
    assert same(Spread().aggregate(table), Spread().aggregate(rows))


def test_infinities_of_both_signs_have_no_mean():
    rows = [Row("a", 0, "scored", 1.0, {"odd": math.inf}), Row("b", 0, "scored", 1.0, {"odd": -math.inf})]
    assert math.isnan(metric_means(rows)["odd"])
    assert math.isnan(metric_means(columns(rows))["odd"])


def report(*results, name="r"):
    suite = SuiteResult("general", ["gsm8k"], overall=1 / 3)
    tasks = {result.data.name: result for result in results}
    return Report(name, 'a "model"', True, "none", {"general": suite}, tasks)


def episode(row, texts):
    """An episode's part of the JSON report."""
    metrics = {name: value if math.isfinite(value) else None for name, value in row.metrics.items()}
    found = {"sample": row.sample, "repeat": row.repeat, "outcome": row.outcome, "value": row.value}
    return found | {"metrics": metrics} | (texts._asdict() if any(texts) else {})


def as_json(report):
    """The whole JSON report as one value."""
    tasks = {
        name: {**result.facts(), "episodes": [episode(*pair) for pair in with_texts(result.data.rows)]}
        for name, result in report.tasks.items()
    }
    return {**report.facts(), "tasks": tasks}


@given(ROWS, st.booleans())
@settings(deadline=None)
def test_the_pieces_are_what_the_standard_library_writes(rows, together):
    small = [replace(row, metrics={k: float(v) for k, v in row.metrics.items()}) for row in rows]
    stored = TaskData("gsm8k", "accuracy", "percent", rows=columns(small))
    line = TaskResult(stored, "accuracy", ci=(0.1, 0.25), metrics={"x": math.nan})
    empty = TaskResult(TaskData('o"s', "success", "points"), "success", score=1e-7)
    made = [report(line, empty), report(name="é")] if together else [report(line, empty)]
    data = [as_json(one) for one in made]
    expected = json.dumps(data if together else data[0], ensure_ascii=False, indent=1, allow_nan=False)
    assert "".join(pieces(made)) == expected


def test_many_episodes_are_written_in_many_pieces_with_their_texts():
    table = columns([Row(f"s{n:05}", 0, "scored", 1.0, {"n": n}) for n in range(2500)])
    asked = []

    def texts(ids):
        asked.append(len(ids))
        return {id: Texts("read", f"wanted\n{id}") for id in ids}

    for n in range(0, 2500, 2):
        table.add(Row(f"t{n}", 0, "limit", 0.0), id=10_000 + n, has_texts=True)
    table.texts = texts
    line = TaskResult(TaskData("gsm8k", "accuracy", "percent", rows=table), "accuracy")
    made = list(pieces([report(line)]))
    found = json.loads("".join(made))
    assert "".join(made) == json.dumps(as_json(report(line)), ensure_ascii=False, indent=1)
    assert max(map(len, made)) < len("".join(made)) / 3
    assert max(asked) <= 1000
    episodes = found["tasks"]["gsm8k"]["episodes"]
    assert "answer" not in episodes[0]
    assert episodes[-1]["target"] == "wanted\n12498"
    assert [texts for _, texts in with_texts(table)][-1] == Texts("read", "wanted\n12498")
