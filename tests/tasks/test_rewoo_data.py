"""ReWOO on its 250 rows: pinned prompts, the oracle, the headline, preparing the data."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from checkouts import write_rewoo
from contexts import samples_of
from web_play import context, fixture_of

from harness.data import digest, literals, quiet
from harness.errors import DataError
from harness.types import Pending, Reply, Row, Verdict
from tasks.rewoo.prepare import COUNTS, prepare_together, write_sample
from tasks.rewoo.prompts import RewooPrompts
from tasks.rewoo.rows import DATASETS, label
from tasks.rewoo.task import TASK

FIXTURE = fixture_of(TASK)


def test_mirror_has_250_rows_the_pinned_prompts_and_says_5of7(mirror: Path, tmp_path: Path):
    ctx = context(TASK, mirror / "rewoo", tmp_path)
    items = samples_of(TASK, ctx, "test")
    assert len({item.id for item in items}) == len(items) == 250
    assert items[0].id == "gsm8k/00"
    assert label(mirror / "rewoo") == "rewoo-5of7"
    assert label(FIXTURE) == "rewoo"
    recorded = json.loads((mirror / "rewoo/prompts.json").read_text())["sha256"]
    assert {a: digest(t) for a, t in literals(mirror / "rewoo/prompts.json").items()} == recorded
    prompts = RewooPrompts(literals(mirror / "rewoo/prompts.json"))
    leaked = [s.id for s in items if s.data["question"].strip() in prompts.exemplar(s.data["dataset"])]
    assert leaked == ["gsm8k/02"]
    for item in items[::50]:
        asked = prompts.planner(item.data["dataset"], item.data["question"])
        assert asked.endswith(f"Each Plan should be followed by only one #E.\n\n{item.data['question']}\n")
        assert re.findall(r"^(\w+)\[input\]: ", asked, re.MULTILINE) == list(
            DATASETS[item.data["dataset"]].tools
        )


@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_oracle_is_right_on_all_250_rows_by_rule_and_by_judge(
    mirror: Path, tmp_path: Path, profile: str
):
    ctx = context(TASK, mirror / "rewoo", tmp_path, profile, tools="keyless")
    rows: list[Row] = []
    async with TASK.world(ctx) as world:
        assert world.stand_ins
        assert any(note.startswith("rewoo-5of7, wiki offline (0 pages") for note in world.notes)
        for item in samples_of(TASK, ctx, "test"):
            episode, oracle = await world.episode(item, {}, 0), TASK.oracle(ctx, item)
            observation = await episode.reset()
            while not observation.done:
                observation = await episode.step(Reply(await oracle.reply(observation)))
            pending = await episode.score()
            assert isinstance(pending, Pending)
            score = TASK.resolve(ctx, pending, [Verdict("grade", 0, "CORRECT")])
            rows.append(Row(item.id, 0, score.outcome or "scored", score.value, score.metrics, item.labels))
    found = TASK.aggregate(rows)
    assert len(rows) == 250
    assert (found["accuracy"], found["rule_accuracy"], found["accuracy_macro"]) == (1.0, 1.0, 1.0)
    assert (found["datasets"], found["tool_calls"], found["tool_error"]) == (5.0, 1.0, 0.0)


def test_headline_is_micro_accuracy():
    rows = [
        Row(
            f"gsm8k/{n:02d}",
            0,
            "scored",
            float(n == 0),
            {"exemplar_leak": float(n == 0)},
            {"dataset": "gsm8k"},
        )
        for n in range(3)
    ]
    rows.append(Row("sotu_qa/00", 0, "scored", 1.0, {"exemplar_leak": 0.0}, {"dataset": "sotu_qa"}))
    found = TASK.aggregate(rows)
    assert found["accuracy"] == 0.5
    assert found["accuracy_macro"] == pytest.approx((1 / 3 + 1) / 2)
    assert found["accuracy_without_leak"] == pytest.approx(1 / 3)
    assert TASK.aggregate([]) == {}


# -- data


def test_prepare_draws_upstreams_rows_byte_for_byte(mirror: Path, tmp_path: Path):
    """From the real tables and the real GSM8K; the prompts from sources of upstream's shape."""
    source, data = tmp_path / "from", mirror / "rewoo"
    (source / "grade-school-math").mkdir(parents=True)
    (source / "ReWOO").symlink_to(data)
    (source / "grade-school-math/grade_school_math").symlink_to(mirror / "gsm8k/grade_school_math")
    write_rewoo(source, literals(data / "prompts.json"))
    made = prepare_together(sorted(source.iterdir()), tmp_path / "to", quiet)
    written = {path.relative_to(tmp_path / "to").as_posix() for path in made}
    assert written == {
        "data/docs/state_of_the_union.txt",
        "prompts.json",
        *(
            f"samples/{n}.jsonl"
            for n in ("gsm8k", "sotu_qa", "physics_question", "sports_understanding", "strategy_qa")
        ),
    }
    for name in written:
        assert (tmp_path / "to" / name).read_bytes() == (data / name).read_bytes(), name


def test_prepare_checks_counts_and_draws_the_listed_rows(mirror: Path, tmp_path: Path):
    listed = json.loads((mirror / "rewoo/samples/indices.json").read_text())["indices"]
    for name in ("hotpot_qa", "trivia_qa"):
        rows: Sequence[dict[str, str]] = [{"question": str(n)} for n in range(COUNTS[name])]
        path = write_sample(tmp_path, name, rows)
        assert [json.loads(line)["source_index"] for line in path.read_text().splitlines()] == listed[name]
        with pytest.raises(DataError, match=str(COUNTS[name])):
            write_sample(tmp_path, name, rows[:-1])
    assert label(tmp_path) == "rewoo-2of7"


def test_prepare_reads_a_users_hotpot_and_trivia_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import pandas as pd

    monkeypatch.setitem(COUNTS, "hotpot_qa", 60)
    monkeypatch.setitem(COUNTS, "trivia_qa", 60)
    hotpot = [{"question": f"q{n}", "answer": f"a{n}", "context": []} for n in range(60)]
    (tmp_path / "hotpot_train_v1.1.json").write_text(json.dumps(hotpot))
    (tmp_path / "trivia_qa").mkdir()
    trivia = [{"question": f"q{n}", "answer": {"value": f"a{n}", "aliases": [f"A{n}"]}} for n in range(60)]
    for part in range(2):
        pd.DataFrame(trivia[part * 30 :][:30]).to_parquet(tmp_path / f"trivia_qa/train-{part}.parquet")
    first, second = prepare_together([tmp_path], tmp_path / "to", quiet)
    row = json.loads(first.read_text().splitlines()[7])
    assert row["question"] == f"q{row['source_index']}"
    row = json.loads(second.read_text().splitlines()[7])
    index = row["source_index"]
    assert row == {
        "uid": "rewoo/trivia_qa/07",
        "source_index": index,
        "question": f"q{index}",
        "answer": f"a{index}",
        "aliases": [f"A{index}"],
    }


def test_prepare_says_what_it_needs(tmp_path: Path):
    with pytest.raises(DataError, match="ReWOO"):
        prepare_together([tmp_path], tmp_path / "to", quiet)


def test_tables_are_the_ones_the_counts_speak_of(mirror: Path):
    for name in ("physics_question", "sports_understanding", "strategy_qa"):
        with (mirror / f"rewoo/data/bigbench/{name}.csv").open(newline="", encoding="utf-8") as lines:
            assert sum(1 for _ in csv.DictReader(lines)) == COUNTS[name]
