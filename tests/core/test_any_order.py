"""The same seed gives the same transcripts, in whatever order and company episodes are played."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from command import harness

from harness.storage.store import Store

TASKS = "gsm8k,hotpotqa,mt_bench,card_game"


def transcripts(store: Path) -> tuple[list[str], dict[str, object]]:
    """The order in which episodes ended, and what each said, was asked with and was worth."""
    order: list[str] = []
    found: dict[str, object] = {}
    with closing(Store(store, readonly=True)) as run:
        for attempt in run.attempts(final_only=True):
            item = attempt.item
            calls = [(c.prompt, c.reply, c.facts.get("seed"), c.turn) for c in run.calls(attempt.id)]
            name = f"{item.task} {item.sample} {item.repeat}"
            order.append(name)
            found[name] = (attempt.outcome, attempt.value, attempt.metrics, attempt.answer, calls)
    return order, found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_order_and_company_change_no_transcript(tmp_path: Path):
    run = ("run", "--model", "oracle", "--task", TASKS, "--mirror", "fixture", "--limit", "4", "--no-report")
    many = ("--repeats", "2", "--seed", "5")
    assert harness(tmp_path, *run, *many, "--concurrency", "1", "--out", "one").returncode == 0
    assert harness(tmp_path, *run, *many, "--concurrency", "32", "--out", "all").returncode == 0
    first, one = transcripts(tmp_path / "one/run.sqlite")
    second, many_at_once = transcripts(tmp_path / "all/run.sqlite")
    assert first != second, "both were played in the same order: nothing is shown"
    assert len(one) >= 24 and one == many_at_once
    assert harness(tmp_path, *run, "--repeats", "2", "--seed", "6", "--out", "other").returncode == 0
    assert transcripts(tmp_path / "other/run.sqlite")[1] != one, "the seed changes nothing"
