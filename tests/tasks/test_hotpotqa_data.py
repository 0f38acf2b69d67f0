"""HotpotQA on its 300 rows: pinned prompts, the oracle, the headline, preparing the data."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from checkouts import write_hotpotqa
from contexts import samples_of
from web_play import context

from harness import tokens
from harness.data import core_file, digest, literals, quiet
from harness.errors import DataError
from harness.types import Reply, Row
from tasks.hotpotqa.prepare import prepare_together
from tasks.hotpotqa.prompts import choose
from tasks.hotpotqa.task import TASK


def test_headline_is_the_mean_of_level_means_and_leaks_are_left_out_beside_it():
    def row(ident: str, value: float, leak: float = 0.0) -> Row:
        metrics = {"em": value, "exemplar_leak": leak}
        return Row(ident, 0, "scored", value, metrics, {"level": ident.partition("/")[0]})

    rows = [row("easy/000", 1.0), row("easy/001", 0.0), row("hard/000", 1.0), row("medium/015", 1.0, 1.0)]
    rows.append(row("medium/016", 0.0))
    found = TASK.aggregate(rows)
    assert found["f1"] == pytest.approx((0.5 + 1.0 + 0.5) / 3)
    assert found["f1_without_leak"] == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert (found["f1_easy"], found["f1_medium"], found["f1_hard"]) == (0.5, 0.5, 1.0)
    assert found["em"] == pytest.approx(3 / 5)
    assert TASK.aggregate([]) == {}


# -- with the real data


def test_mirror_has_300_rows_and_the_pinned_prompts(mirror: Path, tmp_path: Path):
    ctx = context(TASK, mirror / "hotpotqa", tmp_path)
    items = samples_of(TASK, ctx, "test")
    assert len({item.id for item in items}) == len(items) == 300
    assert (items[0].id, items[-1].id) == ("easy/000", "hard/099")
    recorded = json.loads((mirror / "hotpotqa/prompts.json").read_text())["sha256"]
    found = {address: digest(text) for address, text in literals(mirror / "hotpotqa/prompts.json").items()}
    assert found == recorded
    assert len(found) == 14
    pinned = tomllib.loads((Path(__file__).parents[2] / "tasks/hotpotqa/data.toml").read_text())
    assert {entry["path"] for entry in pinned["file"]} == {
        "easy.jsonl",
        "medium.jsonl",
        "hard.jsonl",
        "prompts.json",
    }


async def test_two_search_oracle_scores_100_on_all_300_rows(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HARNESS_MIRROR", "nowhere")  # the vocabulary is found beside the task's own folder
    ctx = context(TASK, mirror / "hotpotqa", tmp_path)
    count = tokens.counter("cl100k", core_file(tokens.CL100K_FILE, str(mirror)))
    rows: list[Row] = []
    sizes: list[int] = []
    async with TASK.world(ctx) as world:
        assert world.notes == ("wiki offline (2958 pages, not comparable with live)",)
        for item in samples_of(TASK, ctx, "test"):
            episode, oracle = await world.episode(item, {}, 0), TASK.oracle(ctx, item)
            observation, calls = await episode.reset(), 0
            sizes.append(count(str(observation.raw).removesuffix("\nThought 1:")))
            while not observation.done:
                observation = await episode.step(Reply(await oracle.reply(observation)))
                calls += 1
            score = await episode.score()
            assert calls == 6
            rows.append(Row(item.id, 0, score.outcome or "scored", score.value, score.metrics, item.labels))
    found = TASK.aggregate(rows)
    assert len(rows) == 300
    assert [row.sample for row in rows if row.value < 1.0] == []
    assert (found["f1"], found["em"], found["finished"], found["searches"]) == (1.0, 1.0, 1.0, 2.0)
    assert [row.sample for row in rows if row.metrics["exemplar_leak"]] == ["medium/015"]
    # Upstream's own base prompts: 642 to 733 tokens, 660 on average.
    assert (min(sizes), max(sizes), round(sum(sizes) / 300)) == (642, 733, 660)


def test_planner_prompts_leak_two_questions(mirror: Path):
    ctx = context(TASK, mirror / "hotpotqa", mirror)
    prompts = choose(literals(mirror / "hotpotqa/prompts.json"), "planner", "agenttuning")
    leaked = [s.id for s in samples_of(TASK, ctx, "test") if prompts.leaks(str(s.data["question"]))]
    assert leaked == ["medium/015", "medium/019"]


def test_prepare_remakes_every_file_byte_for_byte(mirror: Path, tmp_path: Path):
    """From material of the same shape as the releases and checkouts; those themselves cannot be had here."""
    source, data = tmp_path / "from", mirror / "hotpotqa"
    write_hotpotqa(data, source)
    written = prepare_together([source / "AgentTuning", source, source / "BOLAA"], tmp_path / "to", quiet)
    assert len(written) == 4
    assert [p.read_bytes() == (data / p.name).read_bytes() for p in written] == [True] * 4


def test_prepare_says_what_it_needs(tmp_path: Path):
    with pytest.raises(DataError, match="hotpot_train"):
        prepare_together([tmp_path], tmp_path / "to", quiet)
