"""Lists of episodes: paging, order, filters, two runs, old stores and folders that cannot be written."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from viewed_runs import attempt, begun, viewed_run

from harness.errors import StoreError, UsageError
from harness.report.load import FILE
from harness.view.library import Library
from harness.view.query import SORTS, Query
from harness.view.run_view import RunView

NAMES = {"sample": "sample", "value": "value", "outcome": "outcome", "turns": "turns", "seconds": "seconds"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return viewed_run(folder / "first"), viewed_run(folder / "second", worse=4)


@pytest.fixture
def run(stored):
    with closing(RunView(stored[0])) as opened:
        yield opened


def every_page(run: RunView, query: Query) -> list[dict]:
    rows: list[dict] = []
    while True:
        page = run.page(query)
        assert len(page["rows"]) <= query.limit
        rows += page["rows"]
        if page["next"] is None:
            return rows
        query = replace(query, after=page["next"])


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("sort", [sort for sort in SORTS if sort != "change"])
def test_pages_give_every_episode_once_and_in_order(run, sort, down):
    rows = every_page(run, Query(sort=sort, down=down, limit=7))
    assert len(rows) == len({row["id"] for row in rows}) == 32
    if sort in NAMES:
        keys = [-1 if row[NAMES[sort]] is None else row[NAMES[sort]] for row in rows]
        assert keys == sorted(keys, reverse=down)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (Query(task="garden"), 30),
        (Query(task="garden", low=1), 10),
        (Query(task="garden", low=0, high=0.5), 20),
        (Query(task="garden", sample="s/01"), 10),
        (Query(note="note 7"), 1),
        (Query(group="kind=odd"), 15),
        (Query(outcome="waiting"), 1),
        (Query(outcome="infra_error"), 1),
        (Query(every=True), 33),
        (Query(task="%"), 0),
    ],
)
def test_filters(run, query, count):
    assert len(every_page(run, query)) == count


def test_an_item_that_only_failed_is_listed_with_its_newest_attempt(tmp_path):
    store = begun(tmp_path)
    for _ in range(3):
        store.add(attempt(5, None, error="Fault: again"))
    store.close()
    with closing(RunView(tmp_path / FILE)) as run:
        (row,) = run.page(Query())["rows"]
        assert (row["id"], row["outcome"], row["final"]) == (3, "infra_error", 0)


def test_episodes_that_differ_between_two_runs_come_first(stored, run):
    with closing(RunView(stored[1])) as second:
        run.pair_with(second.counted())
    rows = every_page(run, Query(sort="change", down=True, limit=3))
    assert len(rows) == 32
    differ = [row for row in rows[:4]]
    assert {row["sample"] for row in differ} == {f"s/{n:03}" for n in range(4)}
    assert all(row["value"] != row["other"]["value"] for row in differ)
    assert run.flips() == {"garden": 4}


def test_a_second_run_that_grows_is_followed(tmp_path):
    viewed_run(tmp_path / "first", 6)
    store = begun(tmp_path / "second")
    library = Library(tmp_path / "first" / FILE, tmp_path / "second" / FILE)
    try:
        for count in (1, 2, 3):
            store.add(attempt(count, 0.5))
            assert library.answers["runs"]({})["runs"][0]["tasks"][0]["flips"] == count
    finally:
        library.close()
        store.close()


def test_what_a_run_is(run):
    facts = run.facts()
    garden, mind2web, mt_bench = facts["tasks"]
    assert (facts["run"], facts["ended"], facts["planned"]) == ("first", 32, 30)
    assert (garden["ended"], garden["scored"], garden["mean"]) == (30, 30, pytest.approx(1 / 3))
    assert (mind2web["private"], mt_bench["waiting"], mt_bench["mean"]) == (True, 1, None)
    assert run.groups("garden") == ["kind=even", "kind=odd"]


def test_a_sample_that_is_not_there_is_named_with_the_nearest(run):
    assert run.find("garden", "s/007") > 0
    with pytest.raises(UsageError, match="did you mean s/029"):
        run.find("garden", "s/29")
    with pytest.raises(UsageError, match="unknown task 'gardn': did you mean garden"):
        run.find("gardn", "s/1")
    with pytest.raises(UsageError, match="change: give a second run"):
        run.page(Query(sort="change"))


def test_a_run_of_store_version_1_and_a_folder_that_cannot_be_written(root, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(root / "tests/core/wave1", folder)
    before = (folder / FILE).read_bytes()
    folder.chmod(0o555)
    try:
        with closing(RunView(folder / FILE)) as run:
            assert run.version == 1
            assert len(every_page(run, Query(limit=5))) == run.counts()[0] > 0
            assert run.groups("gsm8k") == []
            with pytest.raises(UsageError, match="no labels"):
                run.page(Query(group="a=b"))
    finally:
        folder.chmod(0o755)
    assert (folder / FILE).read_bytes() == before


def test_a_file_that_is_no_run(tmp_path):
    store = begun(tmp_path)
    store.set_meta("config", None)
    store.close()
    with pytest.raises(StoreError, match="holds no run"):
        RunView(tmp_path / FILE)


def test_the_pages_are_small(root):
    pages = root / "harness/view/pages"
    assert sum(path.read_text("utf-8").count("\n") for path in pages.iterdir()) <= 1200
    assert not [path for path in pages.iterdir() if "innerHTML" in path.read_text("utf-8")]
