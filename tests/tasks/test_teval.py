"""T-Eval's data, its bad input, and its averages from cases to the leaderboard's columns."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from contexts import samples_of, task_context

from harness.data import quiet
from harness.errors import DataError, UsageError
from harness.types import Reply, Row
from tasks.teval import rows, score
from tasks.teval.prepare import prepare
from tasks.teval.task import TASK

FIXTURE = Path(rows.__file__).parent / "fixture"
NAMES = [f"{stem}.json" for stem in rows.FILES.values()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The fixture's files as full data, without the mark of a fixture."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "teval"))


def edited(path: Path, **changes: object) -> None:
    """Change or (None) remove fields of a file's first record."""
    records = json.loads(path.read_text())
    record = next(iter(records.values()))
    record.update(changes)
    for name in [name for name, value in changes.items() if value is None]:
        del record[name]
    path.write_text(json.dumps(records))


# -- data


def test_eight_runs_in_one_order_with_stable_ids():
    samples = samples_of(TASK, task_context(TASK, FIXTURE, source="fixture"))
    runs = [sample.id.partition("/")[0] for sample in samples]
    assert list(dict.fromkeys(runs)) == list(rows.FILES)
    assert {sample.labels["part"] for sample in samples} == set(score.PARTS)
    assert samples[0].id == "instruct/query_1_json"
    assert (
        samples[0].cluster == "query_1"
        and samples_of(TASK, task_context(TASK, FIXTURE, source="fixture", runs="review"))[-1].cluster == ""
    )


def test_runs_are_chosen_by_run_and_by_dimension():
    assert rows.chosen_runs("review, instruct") == ("instruct", "review_str")
    assert rows.chosen_runs("reason") == ("reason_str", "rru_json")
    assert rows.chosen_runs("instruct,review,plan,reason,retrieve,understand") == tuple(rows.FILES)
    for bad in ("", "nothing", "instruct,x"):
        with pytest.raises(UsageError, match="known are all, instruct"):
            rows.chosen_runs(bad)


async def test_functions_are_told_in_the_role_that_the_option_names():
    for role in ("user", "function"):
        ctx = task_context(TASK, FIXTURE, source="fixture", functions=role)
        sample = next(s for s in samples_of(TASK, ctx) if s.id == "rru_json/query_4_1_1")
        async with TASK.world(ctx) as world:
            shown = await (await world.episode(sample, {}, 0)).reset()
        assert [m.role for m in shown.messages] == ["system", "user", "assistant", role]


def needs(folder: Path, **options: str) -> list[str]:
    cfg = task_context(TASK, folder, **{k: v for k, v in options.items() if k != "split"})
    found = TASK.needs(replace(cfg, split=options.get("split", "full")))
    return [f"{need.name} {why}" for need in found if (why := need.missing())]


def test_files_of_another_split_or_version_are_named(folder: Path):
    assert needs(folder) == []
    (folder / "plan_str_v2.json").unlink()
    (folder / "review_str_v2.json").rename(folder / "review_str_v2_subset.json")
    (folder / "instruct_v2.json").rename(folder / "instruct_v1.json")
    assert needs(folder) == [
        "instruct_v2.json missing; instruct_v1.json is of version 1, whose cases are others",
        "review_str_v2.json missing; review_str_v2_subset.json is there: --split subset",
    ]
    assert needs(folder, runs="plan_json,reason") == []
    checked = {need.name for need in TASK.needs(replace(task_context(TASK, folder), split="full"))}
    assert "plan_str_v2.json" not in checked, "what is missing is not told as there"
    assert needs(folder, runs="review", split="subset") == []
    assert needs(folder, runs="plan_json", split="subset") == [
        "plan_json_v2_subset.json missing; plan_json_v2.json is there: --split full"
    ]


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("instruct", {"meta_data": None}, "no 'meta_data'"),
        ("review_str", {"meta_data": None}, "no 'meta_data'"),
        ("plan_str", {"meta": None}, "no 'meta'"),
        ("rru_json", {"ground_truth": None}, "no 'ground_truth'"),
        ("rru_json", {"ground_truth": {"thought": "", "name": "", "args": "x"}}, "args are no object"),
        ("reason_str", {"ground_truth": "text"}, "no object"),
        ("reason_str", {"origin_prompt": []}, "does not end with"),
        ("reason_str", {"origin_prompt": [{"role": "tool", "content": ""}]}, "role 'tool'"),
        ("plan_json", {"ground_truth": [{"id": 0}]}, "no plan of steps"),
        ("instruct", {"template": {"thought": "a"}}, "no 'action'"),
        ("review_str", {"ground_truth": {"answer": "G"}}, "answer 'G'"),
    ],
)
def test_a_damaged_record_is_named_in_one_line(
    folder: Path, name: str, changes: dict[str, object], says: str
):
    path = folder / f"{rows.FILES[name]}.json"
    edited(path, **changes)
    first = next(iter(json.loads(path.read_text())))
    with pytest.raises(DataError, match=says) as caught:
        list(rows.cases(path, name))
    assert f"{path}: record {first!r}: " in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", "\xff"])
def test_a_file_that_is_no_object_of_records_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "instruct_v2.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"instruct_v2\.json"):
        list(rows.cases(path, "instruct"))


def test_prepare_takes_a_split_whole_or_not_at_all(folder: Path, tmp_path: Path):
    target = tmp_path / "target"
    target.mkdir()
    assert [path.name for path in prepare(folder, target, quiet)] == NAMES
    for name in NAMES[:3]:
        (folder / name).rename(folder / name.replace(".json", "_subset.json"))
    with pytest.raises(
        DataError, match=r"instruct_v2\.json, .* missing \(it mixes files of full and subset\)"
    ):
        prepare(folder, target, quiet)
    for path in folder.glob("*.json"):
        path.rename(folder / f"{path.stem.partition('_v2')[0]}_v1.json")
    with pytest.raises(DataError, match="version 1"):
        prepare(folder, target, quiet)
    with pytest.raises(DataError, match="no folder; unpack"):
        prepare(folder / "none", target, quiet)


# -- averages


def leaderboard(mirror: Path) -> Iterator[dict[str, str]]:
    with (mirror / "teval" / "scores.csv").open(newline="") as file:
        yield from csv.DictReader(file)


def test_the_overall_is_the_leaderboards(mirror: Path):
    """Rows whose parts are a dimension's printed score have the dimension, and nearly the printed Overall."""
    checked = 0
    for line in leaderboard(mirror):
        printed = {name: float(line[name]) / 100 for name in rows.DIMENSIONS}
        thirds = {numbers: printed[name] for name, numbers in score.THIRDS.items()}
        made = [
            Row("s", 0, "scored", fmean(thirds.values()), thirds, {"part": part})
            if part == "rru_json"
            else Row("s", 0, "scored", printed[part.partition("_")[0]], {}, {"part": part})
            for part in score.PARTS
        ]
        found = score.aggregate(made)
        assert {name: found[name] for name in printed} == pytest.approx(printed)
        assert 100 * found[score.METRIC] == pytest.approx(float(line["overall"]), abs=0.051)
        checked += 1
    assert checked == 21


def test_the_overall_is_the_mean_of_the_dimensions_and_needs_all_parts():
    made = [
        Row(f"{part}{n}", 0, "scored", (n + at) / 20, {}, {"part": part})
        for at, part in enumerate(score.PARTS)
        for n in range(2 + at % 3)
        if part != "rru_json"
    ]
    made += [
        Row("r", 0, "scored", 0.5, {"thought": 0.9, "name": 0.6, "args": 0.0}, {"part": "rru_json"}),
        Row("q", 0, "scored", 0.1, {"thought": 0.1, "name": 0.0, "args": 0.2}, {"part": "rru_json"}),
    ]
    found = score.aggregate(made)
    assert found[score.METRIC] == pytest.approx(fmean(found[name] for name in rows.DIMENSIONS))
    fewer = score.aggregate([row for row in made if row.labels["part"] != "review_str"])
    assert score.METRIC not in fewer and "review" not in fewer and "plan" in fewer


async def test_degenerate_answers_score_as_worked_out_by_hand():
    """Of a model that always says the same; Reason waits, as any text resembles a thought somewhat."""
    ctx = task_context(TASK, FIXTURE, source="fixture", profile="fixed")
    samples = samples_of(TASK, ctx)

    async def dimensions(text: str) -> dict[str, float]:
        made: list[Row] = []
        async with TASK.world(ctx) as world:
            for sample in samples:
                episode = await world.episode(sample, {}, 0)
                await episode.reset()
                await episode.step(Reply(text))
                found = await episode.score()
                value = getattr(found, "value", float("nan"))
                made.append(Row(sample.id, 0, "scored", value, found.metrics, sample.labels))
        return {name: value for name, value in score.aggregate(made).items() if name in rows.DIMENSIONS}

    nothing = dict.fromkeys((name for name in rows.DIMENSIONS if name != "reason"), 0.0)
    assert await dimensions("") == nothing
    # The reviews are A, B and C; a name that is in no gold; one of four golds is FinishAction.
    assert await dimensions("Answer: A") == {**nothing, "review": pytest.approx(1 / 3)}
    finish = await dimensions("FinishAction")
    assert finish["retrieve"] == pytest.approx((1 / 4 + 0) / 2) and finish["plan"] == 0.0
    # The gold of rru_json/query_6_1_0, in a fence: its name is right in 1 of 4, its args in that one as well.
    fenced = await dimensions('```json\n{"thought": "t", "name": "Clock.now", "args": {}}\n```')
    assert fenced["retrieve"] == pytest.approx((1 / 4 + 1 / 4) / 2)
    assert fenced["understand"] == pytest.approx((0 + 1 / 4) / 2)
    assert fenced["instruct"] == fenced["review"] == 0.0
    for wrong in ("[1, 2]", "3", "null", '{"thought": 1, "name": [2], "args": "x"}', "A b! " * 3000):
        found = await dimensions(wrong)
        assert {found[name] for name in ("instruct", "plan", "retrieve")} == {0.0}
