"""Agent-FLAN's Table 1 through the report's own code: the golden numbers of its specification, §2."""

import csv
import json
import re
from dataclasses import replace

import pytest

from harness.catalog.suites import all_members
from harness.errors import UsageError
from harness.report import reference
from harness.report.build import build
from harness.report.load import load
from harness.report.render import render
from harness.report.rules import Rules
from harness.report.run_data import RunData, TaskData
from harness.types import Row, mean

TABLE = "agentflan"
PRINTED = {
    "gpt-3.5-turbo": (47.8, 1.59),
    "gpt-4": (55.1, 2.75),
    "llama-2-7b-chat": (27.2, 0.19),
    "fireact-7b": (16.6, None),
    "agentlm-7b": (31.7, 1.96),
    "agenttuning-star-7b": (38.2, 1.89),
    "agent-flan-7b": (41.7, 2.01),
}
"""The printed Overall of the five held-out columns, and of the held-in tasks."""

PRINTED_MEMBERS = ("hotpotqa", "sciworld", "webarena", "teval", "agent_h")

TO_OURS = {
    "gpt-3.5": "gpt-3.5-turbo",
    "llama2-7b": "llama-2-7b-chat",
    "agenttuning*-7b": "agenttuning-star-7b",
    "t-eval": "teval",
    "agent-h": "agent_h",
    "overall_held-in": "held-in",
    "overall_held-out_mean5": "agentflan-heldout",
}


def report(model, rules=None):
    return build(load(f"reference:{model}"), rules)


@pytest.mark.parametrize("model", PRINTED)
def test_the_overall_is_the_mean_of_five(model):
    held_out, held_in = PRINTED[model]
    suites = report(f"{TABLE}/{model}").suites
    assert suites["agentflan-heldout"].overall == pytest.approx(held_out, abs=0.06)
    assert (suites["held-in"].overall if held_in else suites.get("held-in")) == held_in


def test_the_columns_of_agent_flan_against_gpt4():
    found = report("agent-flan-7b", Rules("gpt4"))
    wanted = {"hotpotqa": 54.7, "sciworld": 54.9, "webarena": 74.5, "teval": 76.4}
    assert {task: found.tasks[task].relative for task in wanted} == pytest.approx(wanted, abs=0.06)
    assert found.suites["held-in"].overall_relative == pytest.approx(73.1, abs=0.06)
    assert found.suites["agentflan-heldout"].relative_of == 4, "Agent-H is in no mean of ratios"
    assert found.suites["agentflan-heldout"].overall_relative is None


def test_the_printed_table_names_its_overall_and_what_is_rough():
    text = render([report("agent-flan-7b", Rules("gpt4"))], "table")
    assert re.search(r"^  Overall +5/5 +heldout_mean5 +41\.66", text, re.MULTILINE)
    assert re.search(r"^  Overall +6/6 +AgentTuning +2\.01 +73\.1$", text, re.MULTILINE)
    assert re.search(r"^  agent_h .* ≈94\.6$", text, re.MULTILINE)
    assert "@v1" in text.partition("teval: ")[2], "a footnote says which data the number is from"


def test_json_names_the_overall():
    suites = json.loads(render([report("agent-flan-7b")], "json"))["suites"]
    assert suites["agentflan-heldout"]["overall_name"] == "heldout_mean5"
    assert "overall_name" not in suites["held-in"]


def test_a_model_of_both_tables_is_agenttunings_unless_the_table_is_named():
    assert set(report("gpt-4").suites) == set(reference.SUITES)
    assert report("llama-2-7b-chat").tasks["webarena"].score == 1.23
    assert report(f"{TABLE}/llama-2-7b-chat").tasks["webarena"].score == 1.2, "the precision as printed"


def test_held_in_against_the_baselines():
    held_in = report("agent-flan-7b", Rules("agenttuning")).suites["held-in"]
    assert held_in.overall_relative == pytest.approx(201.0)
    assert report("agent-flan-7b").suites["held-in"].overall_relative is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [("agent-flan", "agent-flan-7b"), ("flan/gpt-4", "agentflan"), (f"{TABLE}/gpt", "gpt-4")],
)
def test_an_unknown_name_gets_the_nearest(name, hint):
    with pytest.raises(UsageError, match=hint):
        load(f"reference:{name}")


def test_the_shipped_table_is_the_mirrors(mirror):
    found: dict[tuple[str, str], float] = {}
    with (mirror / "scores" / "paper_scores.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if "2403.12881 Table 1" in row["source"]:
                place = TO_OURS.get(row["model"], row["model"]), TO_OURS.get(row["task"], row["task"])
                found[place] = float(row["value"])
    shipped = {(m, t): s.value for m, tasks in reference.scores(TABLE).items() for t, s in tasks.items()}
    assert shipped == found
    assert len(shipped) == 7 * 7 - 1, "FireAct has no held-in Overall"
    assert {task for _, task in shipped} <= all_members() | {"held-in", "agentflan-heldout"}


def test_every_cell_says_how_it_was_read():
    with (reference.folder() / f"{TABLE}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["source"], row["confirmed"]) for row in rows} == {
        ("arXiv:2403.12881 Table 1", "read by eye")
    }


def own_run():
    """A run of two tasks of the suite, one of which no published score stands beside."""
    rows = [Row(str(n), 0, "scored", float(n % 2)) for n in range(20)]
    tasks = {
        name: TaskData(name, "m", "percent", planned=20, rows=rows, aggregate=lambda r: {"m": mean(r)})
        for name in ("teval", "agent_h")
    }
    tasks["agent_h"].not_comparable = ("own items",)
    return RunData("r", "m", tasks, {"agentflan-heldout": list(tasks)})


def test_a_runs_own_scores_beside_the_published_ones():
    found = build(own_run(), Rules("gpt4")).tasks
    assert found["teval"].relative == pytest.approx(100 * 50 / 86.4)
    assert any("@v1" in note for note in found["teval"].notes), "never without the footnote"
    assert found["agent_h"].relative is None
    forced = build(own_run(), Rules("gpt4", force=True))
    assert forced.tasks["agent_h"].relative == pytest.approx(100 * 50 / 94.2)
    assert "≈53.1" in render([forced], "table")


def test_a_whole_suite_says_why_it_has_no_overall():
    run = own_run()
    members = [*PRINTED_MEMBERS]
    run.tasks.update({task: replace(run.tasks["teval"], name=task) for task in members[:3]})
    run.suites["agentflan-heldout"] = members
    suite = build(run, Rules("gpt4")).suites["agentflan-heldout"]
    assert (suite.overall, suite.missing) == (None, [])
    assert [note for note in suite.notes if "no Overall, as agent_h" in note and "--force" in note]
    forced = build(run, Rules("gpt4", force=True))
    assert forced.suites["agentflan-heldout"].overall == 50.0
    text = render([forced], "table")
    assert re.search(r"Overall +5/5 +heldout_mean5 +≈50\.00 .* ≈90\.8$", text, re.MULTILINE)
