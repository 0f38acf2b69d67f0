"""Suites of this package and of others: members, samples and the rule of the Overall."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
from packages import install

from harness import data
from harness.catalog import suites
from harness.errors import UsageError
from harness.report import reference
from harness.report.build import build
from harness.report.render import render
from harness.report.run_data import RunData, TaskData
from harness.running import judge_stage, plan, plan_text
from harness.running.request import ModelChoice, RunRequest, Workload
from harness.types import Mean, Row

OTHERS = """
[general]
tasks = ["riddles"]

[puzzles]
tasks = ["riddles", "gsm8k"]
limit = { gsm8k = 2 }
ids = ["riddles"]
overall = "mean"
"""


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs another package with this `suites.toml`."""

    def add(text: str) -> None:
        files = {"__init__.py": "", "suites.toml": text, "ids/puzzles/riddles.txt": "# why\nr/1\nr/7\n"}
        install(tmp_path / "site", "riddle_bench", files, {"harness.suites": {"riddles": "riddle_bench"}})
        monkeypatch.syspath_prepend(tmp_path / "site")
        suites.load.cache_clear()

    yield add
    suites.load.cache_clear()
    sys.modules.pop("riddle_bench", None)


def test_another_package_adds_a_task_to_a_suite_and_a_suite_of_its_own(other):
    before = suites.find("general")
    other(OTHERS)
    general = suites.find("general")
    assert general.tasks == (*before.tasks, "riddles")
    assert (general.overall, general.reference, general.samples) == ("agenttuning", "agenttuning", {})
    puzzles = suites.find("puzzles")
    assert puzzles.tasks == ("riddles", "gsm8k")
    assert puzzles.samples == {"gsm8k": suites.Choice(limit=2), "riddles": suites.Choice(ids=("r/1", "r/7"))}
    assert puzzles.overall == "mean"
    assert "riddles" in suites.all_members()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[puzzles]\n", "tasks"),
        ("[puzzles]\ntasks = 'gsm8k'\n", "array"),
        ("[puzzles]\ntasks = ['gsm8k']\noverall = 'best'\n", "best"),
        ("[puzzles]\ntasks = ['gsm8k']\nwieght = 1\n", "wieght"),
        ("[puzzles]\ntasks = ['gsm8k']\nsplits = ['gsm8k']\n", "splits"),
        ("[general]\ntasks = ['riddles']\noverall = 'mean'\n", "not overall"),
        ("[puzzles]\ntasks = ['riddles']\nids = ['gsm8k']\n", "gsm8k.txt"),
        ("[puzzles]\ntasks = ['riddles']\nset = { gsm8k = { shots = '4' } }\n", "`tasks` does not name"),
        ("[puzzles]\ntasks = ['riddles']\nset = { riddles = { shots = 4 } }\n", "Expected `str`"),
        ("puzzles", "suites.toml"),
        pytest.param(f"[puzzles]\ntasks = {'[' * 100_000}{']' * 100_000}", "recursion", id="deep"),
        pytest.param(f"[puzzles]\nlimit = {'9' * 5000}", "4300 digits", id="digits"),
    ],
)
def test_suites_that_cannot_be_read_are_named_and_left_out(other, caplog, text, words):
    other(text)
    with caplog.at_level(logging.WARNING):
        names = set(suites.load())
    assert "puzzles" not in names
    assert {"held-in", "general", "demo"} <= names
    assert "riddles" not in suites.find("general").tasks
    assert "riddle_bench" in caplog.text
    assert words in caplog.text


def answered(*names: str, settings: tuple[str, ...] = ()) -> str:
    """How MMLU is answered in a run of these suites."""
    work = Workload(suites=names, settings=settings, mirror="fixture")
    (found,) = plan.make(RunRequest(work, ModelChoice(model="oracle"))).tasks
    return found.cfg.options.answer


def test_a_suite_sets_options_as_the_command_line_does_and_is_beaten_by_it(other):
    other(
        """
        [one]
        tasks = ["mmlu"]
        set = { mmlu = { answer = "generate" } }
        [two]
        tasks = ["mmlu"]
        [wrong]
        tasks = ["mmlu"]
        set = { mmlu = { answer = "guess" } }
        """
    )
    assert answered("two") == "rank"
    assert answered("one") == answered("two", "one") == "generate"
    assert answered("one", settings=("mmlu.answer=rank",)) == "rank"
    with pytest.raises(UsageError, match="choose one of"):
        answered("wrong")
    with pytest.raises(UsageError, match=r"one sets mmlu.answer=generate and wrong sets guess"):
        answered("one", "wrong")
    assert answered("one", "wrong", settings=("mmlu.answer=rank",)) == "rank"


def test_options_of_tasks_that_are_not_chosen_from_a_suite_are_left_out(other):
    other("""
        [one]
        fixture = true
        tasks = ["mmlu", "gsm8k"]
        set = { mmlu = { answer = "generate" } }
        """)
    assert [task.spec.name for task in planned("one", tasks=("gsm8k",)).tasks] == ["gsm8k"]


SPLITS = """
[toys]
fixture = true
tasks = ["webshop", "gsm8k"]
splits = { webshop = "dev" }
limit = { webshop = 4 }

[others]
fixture = true
tasks = ["webshop"]
"""


def planned(*names: str, split: str | None = None, tasks: tuple[str, ...] = ()) -> plan.Plan:
    work = Workload(suites=names, tasks=tasks, split=split)
    found = plan.make(RunRequest(work, ModelChoice(model="oracle")))
    assert found.missing == {}
    return found


def test_a_suite_takes_another_split_of_a_task(other):
    other(SPLITS)
    assert suites.find("toys").samples == {"webshop": suites.Choice(limit=4, split="dev")}
    found = planned("toys")
    shop, sums = found.tasks
    assert [sample.id for sample in shop.samples] == ["10", "11", "12", "13"]
    assert (shop.cfg.split, shop.split, sums.cfg.split, sums.split) == ("dev", "dev", "test", None)
    assert any(line.startswith("  webshop: 4 episodes of split dev,") for line in plan_text.describe(found))
    config = found.config()
    assert config["tasks"]["webshop"]["split"] == "dev" and "split" not in config["tasks"]["gsm8k"]
    stored = judge_stage.stored_config(shop.task, config, data.resolve("webshop", data.FIXTURE), None)
    assert stored.split == "dev", "what reads the run later plays the same split"


def test_the_users_split_goes_before_the_suites(other):
    other(SPLITS)
    (shop,) = planned("others", split="small").tasks
    assert (shop.cfg.split, shop.split) == ("small", None)
    with pytest.raises(UsageError, match="gsm8k has no split 'std': choose one of test"):
        planned("toys", split="std")


def test_one_run_has_one_split_of_a_task(other):
    other(SPLITS)
    with pytest.raises(UsageError, match=r"different splits of webshop \(toys its dev, others its default\)"):
        planned("toys", "others")
    assert planned("others", tasks=("webshop",)).tasks[0].cfg.split == "std"


def test_smoke_and_nightly_take_the_goals_that_need_no_large_catalogue(mirror: Path):
    work = Workload(suites=("smoke",), mirror=str(mirror))
    (shop,) = [
        one
        for one in plan.make(RunRequest(work, ModelChoice(model="oracle"))).tasks
        if one.spec.name == "webshop"
    ]
    assert [sample.id for sample in shop.samples] == [f"small/{place}" for place in range(13)]
    assert suites.find("nightly").choice("webshop").split == "small"


def task(name: str, value: float, unit: str = "percent") -> TaskData:
    rows = [Row("a", 0, "scored", value)]
    found = TaskData(name, "accuracy", unit, 1, rows=rows)  # type: ignore[arg-type]
    found.aggregate, found.headline = (lambda rows: {"accuracy": rows[0].value}), Mean()
    return found


def test_a_suites_rule_makes_its_overall(other):
    other(OTHERS)
    tasks = {"riddles": task("riddles", 0.25), "gsm8k": task("gsm8k", 0.75)}
    members = {"puzzles": ["riddles", "gsm8k"], "general": ["gsm8k"]}
    report = build(RunData("r", "m", tasks, members))
    assert report.suites["puzzles"].overall == 50.0
    assert report.suites["general"].overall == 75.0 / reference.weight_inverse()["gsm8k"]
    facts = report.facts()["suites"]
    assert [facts[name].get("rule") for name in members] == ["mean", None]
    table = render([report], "table")
    assert "mean" in table and "AgentTuning" in table


def test_a_mean_takes_no_points_in(other):
    other(OTHERS)
    tasks = {"riddles": task("riddles", 0.25), "gsm8k": task("gsm8k", 7.0, "points")}
    report = build(RunData("r", "m", tasks, {"puzzles": ["riddles", "gsm8k"]}))
    assert report.suites["puzzles"].overall is None
