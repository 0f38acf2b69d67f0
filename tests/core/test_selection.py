"""What users type: typed options, selections, suites, shards; bad input names its fix."""

import itertools
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import data
from harness.catalog import registry, suites
from harness.errors import UsageError
from harness.running import selection
from harness.running.samples import Limit, select
from harness.storage.manifest import config_hash, differing, directory_name
from harness.types import NoOptions, Profile, Sample, TaskConfig, option
from harness.types.options import declared


@dataclass(frozen=True, slots=True)
class Toy:
    step_limit: int | None = option(100, 50, help="moves", ge=1)
    match: str = option("overlap", "exact", help="how actions match", choices=("overlap", "exact"))
    strict: bool = option(False, True, help="no mercy")
    share: float = option(0.5, help="a share", ge=0, le=1)
    tries: int = option(3, help="tries", ge=0)


def options(profile: Profile, settings: dict[str, str]) -> Toy:
    return selection.options("toy", Toy, profile, settings)


def test_profiles_choose_the_defaults():
    assert options("paper", {}) == Toy(100, "overlap", False, 0.5, 3) == Toy()
    assert options("fixed", {}) == Toy(50, "exact", True, 0.5, 3)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("step_limit", "7", 7),
        ("step_limit", "none", None),
        ("match", "exact", "exact"),
        ("strict", "on", True),
        ("strict", "False", False),
        ("share", "0.25", 0.25),
        ("share", "0", 0.0),
        ("tries", "0", 0),
    ],
)
def test_settings_are_typed(name: str, text: str, value: object):
    assert getattr(options("paper", {name: text}), name) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("step_limit", "many", "a value of type int or none is needed"),
        ("match", "fuzzy", "choose one of overlap, exact"),
        ("strict", "maybe", "write true or false"),
        ("share", "none", "a value of type float is needed"),
        ("steplimit", "7", "did you mean step_limit"),
        ("step_limit", "0", "it must be at least 1"),
        ("step_limit", "-2", "it must be at least 1"),
        ("step_limit", "1.5", "a value of type int or none is needed"),
        ("tries", "-1", "it must be at least 0"),
        ("share", "1.5", "it must be from 0 to 1"),
        ("share", "nan", "a finite number is needed from 0 to 1"),
        ("share", "inf", "a finite number is needed from 0 to 1"),
        ("share", "-inf", "a finite number is needed from 0 to 1"),
    ],
)
def test_wrong_settings_name_the_fix(name: str, text: str, message: str):
    with pytest.raises(UsageError, match=message):
        options("paper", {name: text})


def test_a_task_without_options_says_so():
    with pytest.raises(UsageError, match="quiz has no options"):
        selection.options("quiz", NoOptions, "paper", {"speed": "1"})


def test_stored_options_come_back_and_unknown_ones_are_refused():
    chosen = options("fixed", {"tries": "7"})
    assert selection.stored_options("toy", Toy, selection.plain(chosen)) == chosen
    with pytest.raises(UsageError, match="no longer has: colour"):
        selection.stored_options("toy", Toy, {"colour": "red"})


def test_an_options_class_is_declared_in_full():
    @dataclass(frozen=True)
    class Bare:
        size: int = 3

    @dataclass(frozen=True)
    class Odd:
        size: "list[int]" = option(3, help="several")  # noqa: RUF009

    with pytest.raises(TypeError, match="not declared with option"):
        declared(Bare)
    with pytest.raises(TypeError, match="must be an int, float, str or bool"):
        declared(Odd)


def test_settings_are_split_by_task():
    found = selection.settings(["toy.match=exact", "toy.step_limit=a=b"], ["toy", "other"])
    assert found == {"toy": {"match": "exact", "step_limit": "a=b"}, "other": {}}
    for wrong in ("toy.match", "match=exact", "=x", "toy.=x"):
        with pytest.raises(UsageError, match=r"TASK\.KEY=VALUE"):
            selection.settings([wrong], ["toy"])
    with pytest.raises(UsageError, match="did you mean toy"):
        selection.settings(["tyo.match=exact"], ["toy"])


SAMPLES = [Sample(f"s/{n}") for n in range(10)]


def test_selection_keeps_the_canonical_order():
    assert [s.id for s in select(SAMPLES, ("s/7", "s/2"), None, "toy")] == ["s/2", "s/7"]
    assert [s.id for s in select(SAMPLES, None, Limit(3, "first"), "toy")] == ["s/0", "s/1", "s/2"]
    assert select(SAMPLES, None, Limit(10**9), "toy") == SAMPLES
    with pytest.raises(UsageError, match="unknown sample of toy 's/70'"):
        select(SAMPLES, ("s/70",), None, "toy")


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(["red", "green", "blue", ""]), max_size=40), st.integers(1, 45))
def test_a_limit_is_spread_over_the_labels_and_smaller_ones_are_among_larger_ones(colours, count):
    samples = [Sample(f"s/{n}", labels={"colour": c} if c else {}) for n, c in enumerate(colours)]
    few, more = (select(samples, None, Limit(n), "toy") for n in (count, count + 3))
    assert len(few) == min(count, len(samples))
    assert {s.id for s in few} <= {s.id for s in more}
    assert [s.id for s in few] == [s.id for s in samples if s in few], "the task's order"
    taken, there = (Counter(s.labels.get("colour", "") for s in some) for some in (few, samples))
    assert all(taken[c] == there[c] or taken[c] >= max(taken.values()) - 1 for c in there)


@pytest.mark.parametrize("name", registry.names())
def test_the_50_are_among_the_100_of_every_task(name):
    task = registry.load(name)
    found = data.resolve(name, data.FIXTURE)
    cfg = TaskConfig(
        found.path, selection.options(name, task.Options, "paper"), "paper", found.source, task.spec.splits[0]
    )
    samples = task.samples(cfg)
    chosen = [{s.id for s in select(samples, None, Limit(n), name)} for n in (1, 2, 3, 50, 100)]
    assert all(few <= more for few, more in itertools.pairwise(chosen))
    if len(samples) > 3:
        assert len(chosen[2]) == 3


def test_every_suite_names_known_or_planned_tasks():
    for suite in suites.load().values():
        assert suite.tasks
        assert set(suite.samples) <= set(suite.tasks)
    assert set(registry.names()) <= suites.all_members()
    assert len(suites.find("smoke").samples["mmlu"].ids or ()) == 57
    assert len(suites.find("nightly").samples["mmlu"].ids or ()) == 1140
    assert len(suites.find("nightly").samples["gsm8k"].ids or ()) == 200
    with pytest.raises(UsageError, match="did you mean held-out"):
        suites.find("heldout")


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda v: st.dictionaries(st.text(max_size=3), v, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), values, max_size=5))
def test_the_hash_depends_on_content_not_on_order(data: dict):
    shuffled = dict(reversed(list(data.items())))
    assert config_hash(data) == config_hash(shuffled)
    assert differing(data, shuffled) == []


def test_differences_are_named_with_both_values():
    old = {"seed": 0, "tasks": {"gsm8k": {"version": 1}}}
    new = {"seed": 1, "tasks": {"gsm8k": {"version": 2}}}
    assert differing(old, new) == ["seed: 0 there, 1 here", "tasks.gsm8k.version: 1 there, 2 here"]


def test_directory_names_are_safe_anywhere():
    assert directory_name("agentlm-70b", "held-out", "0a1b2c3d", None) == "agentlm-70b-held-out-0a1b2c3d"
    assert directory_name("replay:/tmp/a b.jsonl", "gsm8k", "0", "x/y") == "replay-a_b-gsm8k-0-x_y"
