"""Marks and lines of footnotes: one mark for all that holds for a row alone, few for what rows share."""

from harness.report.build import build
from harness.report.footnotes import Footnotes
from harness.report.render import render
from harness.report.run_data import RunData, TaskData
from harness.types import Mean, Row

NAMES = [f"task_{n:02}" for n in range(18)]


def run(notes: dict[str, tuple[str, ...]], name: str = "r") -> RunData:
    """A run of 18 tasks of one suite, with notes on each."""
    tasks: dict[str, TaskData] = {}
    for task in NAMES:
        rows = [Row(f"s{n}", 0, "scored", n % 2) for n in range(20)]
        tasks[task] = TaskData(task, "accuracy", "percent", 20, rows=rows, notes=notes.get(task, ()))
        tasks[task].aggregate = lambda rows: {"accuracy": 0.5}
        tasks[task].headline = Mean()
    return RunData(name, "m", tasks, {"all": list(reversed(NAMES))})


def lines(*runs: RunData) -> tuple[dict[str, str], list[str]]:
    """The marks of the first run's tasks as a reader meets them, and all footnotes."""
    reports = [build(one) for one in runs]
    found = Footnotes(reports)
    marks = {name: found.mark(runs[0].run, name) for name in reversed(NAMES)}
    return marks, found.lines()


def test_a_row_has_one_mark_for_all_that_holds_for_it_alone():
    marks, told = lines(run({name: ("made here", f"{name} is odd", "and so on") for name in NAMES[:2]}))
    assert (marks["task_01"], marks["task_00"], marks["task_02"]) == ("\u00b9", "\u00b2", "")
    assert told[:6] == [
        "1 task_01: made here",
        "1 task_01: task_01 is odd",
        "1 task_01: and so on",
        "2 task_00: made here",
        "2 task_00: task_00 is odd",
        "2 task_00: and so on",
    ]


def test_what_holds_for_every_task_has_no_mark_and_what_many_share_one():
    notes = {name: ("everywhere",) + (("few",) if name > "task_14" else ()) for name in NAMES}
    notes["task_15"] += ("alone",)
    marks, told = lines(run(notes))
    assert marks["task_17"] == marks["task_16"] == "\u00b9"
    assert marks["task_15"] == "\u00b9\u00b7\u00b2" and marks["task_03"] == ""
    assert told == [
        "every task: everywhere",
        "1 task_15, task_16, task_17: few",
        "2 task_15: alone",
    ]


def test_runs_share_a_note_and_are_named_where_only_some_have_it():
    both, one = {"task_04": ("both say it",)}, {"task_04": ("both say it", "one says it")}
    _, told = lines(run(one, "a"), run(both, "b"))
    assert told == ["1 task_04: both say it", "2 task_04 (a): one says it"]


def test_in_a_table_the_numbers_rise_as_they_are_read():
    table = render([build(run({name: (f"of {name}",) for name in NAMES}))], "table")
    shown = [line.split() for line in table.splitlines() if line.startswith("  task_")]
    raised = str.maketrans("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "0123456789")
    assert [words[1].translate(raised) for words in shown] == [str(n) for n in range(1, 19)]
    assert [words[0] for words in shown] == list(reversed(NAMES))
