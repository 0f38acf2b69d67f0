"""From a run's store to a report."""

import os
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.report.build import build
from harness.report.load import FILE, find, load
from harness.store import Attempt, Item, Store
from harness.suites import find as find_suite
from harness.types import Ask, JudgeAsk, Pending

CHOSEN = {"version": 1, "options": {}, "source": "mirror", "data": "", "samples": "", "count": 4}


def make(directory: Path, *, name="absent_task", planned=4, suites=None, chosen=None, **config) -> Store:
    store = Store(directory / FILE)
    facts = {"metric": "accuracy", "unit": "percent", "excepts": {}}
    store.set_meta(
        "config",
        {
            "model": "m", "profile": "paper", "decoding": "protocol", "seed": 0, "shard": None,
            "suites": suites or {}, "tasks": {name: {**CHOSEN, **(chosen or {})}}, **config,
        },
    )  # fmt: skip
    store.set_meta("specs", {name: facts})
    store.plan([Item(name, 1, f"s{n}", 0) for n in range(planned)])
    return store


def played(store, n, value=1.0, outcome="scored", **more):
    store.add(Attempt("absent_task", 1, f"s{n}", 0, outcome, value, **more))


def test_each_item_counts_once_whatever_failed_before(tmp_path):
    store = make(tmp_path / "r")
    for n in range(3):
        played(store, n, outcome="infra_error", value=None, error="endpoint down")
        played(store, n, value=n / 2)
    played(store, 2, value=0.0)
    played(store, 3, outcome="infra_error", value=None)
    played(store, 3, outcome="infra_error", value=None)
    store.close()
    data = load(str(tmp_path / "r")).tasks["absent_task"]
    assert [(row.sample, row.value) for row in data.rows] == [("s0", 0.0), ("s1", 0.5), ("s2", 1.0)]
    assert data.infra_error == 1
    line = build(load(str(tmp_path / "r"))).tasks["absent_task"]
    assert line.complete, "one of four may fail"
    assert line.score == pytest.approx(50.0)
    assert any("not installed here" in note for note in line.notes)


def test_a_run_that_is_still_going_has_no_headline(tmp_path):
    store = make(tmp_path / "r")
    played(store, 0)
    report = build(load(str(tmp_path / "r")))
    store.close()
    assert not report.complete
    assert report.tasks["absent_task"].score is None
    assert report.suites == {}


def test_answers_that_wait_for_a_judge_are_pending(tmp_path):
    store = make(tmp_path / "r", planned=1)
    asks = (JudgeAsk("turn-1", (), Ask(8)),)
    played(store, 0, value=None, pending=Pending(asks))
    store.close()
    data = load(str(tmp_path / "r")).tasks["absent_task"]
    assert (data.pending, len(data.rows)) == (1, 0)


def test_fixtures_options_and_profiles_are_told(tmp_path):
    store = make(
        tmp_path / "r", chosen={"source": "fixture"}, profile="fixed", suites={"general": ["absent_task"]}
    )
    for n in range(4):
        played(store, n)
    store.close()
    run = load(str(tmp_path / "r"))
    assert run.suites == {"general": ["absent_task"]}
    data = run.tasks["absent_task"]
    assert data.source == "fixture"
    assert data.unlike == ("fixture data", "profile fixed")
    assert any("FIXTURE" in note for note in data.notes)


def test_the_newest_run_is_the_default(tmp_path):
    for age, name in enumerate(["newest", "older", "oldest"]):
        make(tmp_path / name).close()
        stamp = 1_700_000_000 - age
        os.utime(tmp_path / name / FILE, (stamp, stamp))
    assert find(None, tmp_path).name == "newest"
    assert find("older", tmp_path).name == "older"
    with pytest.raises(UsageError, match="did you mean old"):
        find("oldes", tmp_path)
    with pytest.raises(UsageError, match="no run under"):
        find(None, tmp_path / "nothing")


def test_the_suites_are_the_designs():
    members = {
        "held-in": "alfworld webshop mind2web knowledgegraph os dbbench",
        "held-out": "sciworld miniwob hotpotqa rewoo webarena card_game",
        "general": "mmlu gsm8k mt_bench humaneval",
        "agentflan-heldout": "hotpotqa sciworld webarena teval agent_h",
    }
    for name, tasks in members.items():
        assert sorted(find_suite(name).tasks) == sorted(tasks.split())
    everything = {task for name in ("held-in", "held-out", "general") for task in members[name].split()}
    assert set(find_suite("all").tasks) == everything
    for name in ("smoke", "nightly"):
        assert set(find_suite(name).tasks) == set(find_suite("general").tasks)
    assert find_suite("demo").fixture
