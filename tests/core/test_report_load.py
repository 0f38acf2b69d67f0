"""From a run's store to a report."""

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from older_reports import numbers

from harness.catalog import registry
from harness.catalog.suites import find as find_suite
from harness.errors import StoreError, UsageError
from harness.report.build import build
from harness.report.load import FILE, find, load
from harness.report.render import render
from harness.storage.store import Attempt, EpisodeKey, Store
from harness.types import Ask, JudgeAsk, Pending

WAVE_1 = Path(__file__).parent / "wave1"
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
    store.plan([EpisodeKey(name, 1, f"s{n}", 0) for n in range(planned)])
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
    assert data.not_comparable == ("fixture data", "profile fixed")
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
        assert set(find_suite("general").tasks) < set(find_suite(name).tasks) <= everything
    assert find_suite("demo").fixture


def damage(directory: Path, statement: str, *values) -> None:
    db = sqlite3.connect(directory / FILE)
    db.execute(statement, values)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("outcome = 'fine'", "unknown outcome 'fine'"),
        ("value = 9e999", "its value is inf"),
        ("value = 'many'", "its value is 'many'"),
        ("value = NULL", "its value is None"),
        ("metrics = '{\"a\": '", "its metrics are '{\"a\": '"),
        ("metrics = '[1]'", "its metrics are '[1]'"),
        ("metrics = printf('%.*c', 100000, '[')", "its metrics are '[[[["),
        ("metrics = x'ff'", "its metrics are"),
        ("labels = '{\"kind\": 3}'", "its labels are no texts"),
        ("labels = 'x'", "its labels are 'x'"),
        ("repeat = 'x'", "not the name of an episode"),
    ],
)
def test_a_damaged_episode_is_out_of_the_score_and_told(tmp_path, change, told):
    store = make(tmp_path / "r")
    for n in range(4):
        played(store, n, value=n / 4)
    store.close()
    damage(tmp_path / "r", f"UPDATE episode SET {change} WHERE sample = 's1'")
    report = build(load(str(tmp_path / "r")))
    line = report.tasks["absent_task"]
    assert [row.sample for row in line.data.rows] == ["s0", "s2", "s3"]
    assert (line.data.infra_error, line.score) == (1, pytest.approx(100 * 1.25 / 3)), "one of four may fail"
    [note] = [note for note in line.notes if "damaged" in note]
    assert "1 stored episodes are damaged and count as infrastructure errors" in note
    assert f"{FILE}: sample 's1'" in note
    assert told in note
    json.loads(render([report], "json"))


def test_too_many_damaged_episodes_leave_no_headline(tmp_path):
    store = make(tmp_path / "r")
    for n in range(4):
        played(store, n)
    store.close()
    damage(tmp_path / "r", "UPDATE episode SET outcome = '' WHERE sample < 's2'")
    report = build(load(str(tmp_path / "r")))
    assert not report.complete
    assert report.tasks["absent_task"].score is None


def test_metrics_that_are_no_numbers_are_left_out_and_told(tmp_path):
    store = make(tmp_path / "r", planned=2)
    for n in range(2):
        played(store, n)
    store.close()
    odd = '{"a": NaN, "b": Infinity, "c": "x", "d": null, "e": 7, "f": true, "g": 1' + "0" * 400 + "}"
    damage(tmp_path / "r", "UPDATE episode SET metrics = ? WHERE sample = 's1'", odd)
    report = build(load(str(tmp_path / "r")))
    found = json.loads(render([report], "json"))["tasks"]["absent_task"]
    assert found["score"] == 100.0
    assert found["episodes"][1]["metrics"] == {"a": None, "b": None, "e": 7, "f": True}
    [note] = [note for note in report.tasks["absent_task"].notes if "no numbers" in note]
    assert note.startswith("3 stored metrics are no numbers and are left out; the first in ")
    assert note.endswith("sample 's1' repeat 0: 'c' is 'x'")


def test_a_file_that_says_nothing_of_a_run_is_one_line(tmp_path):
    Store(tmp_path / "r" / FILE).close()
    with pytest.raises(StoreError, match="holds no run"):
        load(str(tmp_path / "r"))


def test_what_a_world_replaced_sets_its_scores_apart(tmp_path):
    store = make(tmp_path / "r")
    said = {"notes": ["offline wiki"], "stand_ins": ["a stub of the shop"], "comparable": "another browser"}
    store.set_meta("world/absent_task", said)
    store.set_meta("fingerprint/absent_task", {"note": "not read", "comparable": "no (not read)"})
    store.close()
    data = load(str(tmp_path / "r")).tasks["absent_task"]
    assert data.not_comparable == ("a stub of the shop", "another browser")
    assert data.notes[-1] == "offline wiki"


@pytest.mark.parametrize(
    ("comparable", "not_comparable"),
    [("yes", ()), ("no (offline wiki)", ("offline wiki",)), ("no", ("not comparable",))],
)
def test_version_1_kept_what_a_world_replaced_among_its_hashes(tmp_path, comparable, not_comparable):
    store = make(tmp_path / "r")
    store.set_meta("fingerprint/absent_task", {"note": "a note", "comparable": comparable, "jar": "1.2"})
    store.close()
    data = load(str(tmp_path / "r")).tasks["absent_task"]
    assert data.not_comparable == not_comparable
    assert data.notes[-1] == "a note"


@pytest.mark.parametrize(
    ("task", "judge", "not_comparable"),
    [
        ("mt_bench", "gpt-4-0613", ()),
        ("mt_bench", "j", ("judged by j, published by gpt-4-0613",)),
        ("rewoo", "j", ("judged by j, published by text-davinci-003",)),
        ("gsm8k", "j", ()),
    ],
)
def test_another_judge_than_the_tasks_own_is_told(tmp_path, task, judge, not_comparable):
    count = registry.load(task).spec.paper_n
    store = make(tmp_path / "r", name=task, chosen={"count": count})
    store.set_meta(f"judge/{task}", {"judge": judge, "k": 1})
    store.close()
    assert load(str(tmp_path / "r")).tasks[task].not_comparable == not_comparable


def test_answers_and_targets_are_shown_where_they_are_stored(tmp_path):
    store = make(tmp_path / "r", planned=2)
    played(store, 0, answer="42\n", target="43", labels={"kind": "x"}, cluster="page")
    played(store, 1)
    store.close()
    report = build(load(str(tmp_path / "r")))
    first, second = json.loads(render([report], "json"))["tasks"]["absent_task"]["episodes"]
    assert (first["answer"], first["target"]) == ("42\n", "43")
    assert "answer" not in second
    assert "absent_task s0 #0 scored 1 '42 ' for '43'" in render([report], "table", episodes=True).replace(
        "\\n", " "
    )
    assert "43" in render([report], "csv", episodes=True)
    row = report.tasks["absent_task"].data.rows[0]
    assert (row.labels, row.cluster) == ({"kind": "x"}, "page")


def test_rows_from_before_labels_get_those_of_their_names(tmp_path):
    shutil.copytree(WAVE_1, tmp_path / "wave1")
    run = load(str(tmp_path / "wave1"))
    for name, data in run.tasks.items():
        task = registry.load(name)
        assert [row.labels for row in data.rows] == [task.old_labels(r.sample, r.metrics) for r in data.rows]
    before = json.loads((WAVE_1 / "report.json").read_text("utf-8"))
    assert numbers(json.loads(render([build(run)], "json"))) == numbers(before)


def test_old_rows_that_have_no_labels_of_the_task_are_damaged_not_fatal(tmp_path, monkeypatch):
    def old_labels(sample, metrics):
        return {"kind": sample.split("/")[1]}

    monkeypatch.setattr(registry.load("gsm8k"), "old_labels", old_labels, raising=False)
    store = make(tmp_path / "r", name="gsm8k", planned=2)
    for sample in ("a/b", "c"):
        store.add(Attempt("gsm8k", 1, sample, 0, "scored", 1.0))
    store.close()
    damage(tmp_path / "r", "CREATE TABLE call(episode INTEGER)")  # as an upgraded file has it
    data = load(str(tmp_path / "r")).tasks["gsm8k"]
    assert [row.labels for row in data.rows] == [{"kind": "b"}]
    assert data.infra_error == 1
    assert any("sample 'c' repeat 0: its labels cannot be read from its name" in note for note in data.notes)


def test_what_a_recording_lacks_is_reported_as_coverage(tmp_path):
    store = make(tmp_path / "r", planned=4)
    store.add(Attempt("absent_task", 1, "s0", 0, "scored", 1.0))
    store.add(Attempt("absent_task", 1, "s1", 0, "infra_error", None, error="MissingRecord: no answer to x"))
    store.add(Attempt("absent_task", 1, "s1", 0, "infra_error", None, error="MissingRecord: no answer to x"))
    store.add(Attempt("absent_task", 1, "s2", 0, "infra_error", None, error="MissingRecord: no answer to y"))
    store.add(Attempt("absent_task", 1, "s2", 0, "scored", 1.0))
    store.add(Attempt("absent_task", 1, "s3", 0, "infra_error", None, error="EndpointError: down"))
    store.close()
    notes = load(str(tmp_path / "r")).tasks["absent_task"].notes
    assert [note for note in notes if "recording" in note] == [
        "the recording covers 3/4 episodes: the others need an answer that it does not hold"
    ]
