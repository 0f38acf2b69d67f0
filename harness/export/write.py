"""Writes the chosen episodes of a run to one new file, which is there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import UsageError
from harness.export import inspect_log, parquet, replay
from harness.export.episodes import UNKNOWN, Choice, Run, Tally, check_holdout
from harness.export.rows import TRAINING, line, rows
from harness.storage.store_copy import new_file


def export(run: Run, form: str, choice: Choice, out: Path) -> Tally:
    """Write a run's chosen episodes in a format.

    Args:
        run: opened.
        form: `agentinstruct`, `sharegpt`, `openai`, `parquet`, `replay` or `inspect`.
        choice: which episodes.
        out: a path that is not taken.

    Raises:
        UsageError: nothing is left to write, the samples are not for training, or `out` is taken.
        StoreError: the run cannot be read, or the file not written; nothing is left behind then.
    """
    if form in TRAINING:
        check_holdout(run, choice)
    if choice.dedup and form in ("replay", "inspect"):
        raise UsageError(f"--dedup compares conversations, and {form} holds whole episodes: leave it out")
    with new_file(out) as part:
        _write(run, form, choice, part)
        if not run.tally.rows:
            raise UsageError(f"{run.name} has no episode to export{_why(run.tally)}")
    return run.tally


def _why(tally: Tally) -> str:
    reasons = [f"{number} {why}" for why, number in tally.left_out.most_common()]
    return f": {'; '.join(reasons)}" if reasons else ": none has ended, or none is of these tasks"


def _write(run: Run, form: str, choice: Choice, part: Path) -> None:
    if form == "parquet":
        parquet.write(rows(run, choice, training=False), part)
        return
    if form == "inspect":
        pieces: Iterable[bytes] = (piece.encode() for piece in inspect_log.pieces(run, choice))
    elif form == "replay":
        pieces = (json.dumps(one).encode() + b"\n" for one in _replay(run, choice))
    else:
        lines = (line(form, row) for row in rows(run, choice, training=True))
        pieces = (msgspec.json.encode(one) + b"\n" for one in lines)
    with part.open("wb") as file:
        for piece in pieces:
            file.write(piece)


def _replay(run: Run, choice: Choice) -> Iterator[dict[str, Any]]:
    numbered = run.repeats > 1
    for episode in run.episodes(choice):
        attempt = episode.attempt
        if not episode.kept:
            run.tally.episodes -= 1
            run.tally.left_out[UNKNOWN] += 1
            continue
        run.tally.rows += 1
        calls = run.store.all_calls(attempt.id)
        verdicts = run.verdicts(attempt)
        yield replay.line(attempt.item, calls, attempt.note, verdicts=verdicts, numbered=numbered)
