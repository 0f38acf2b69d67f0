"""Reads the steps as Mind2Web releases them, joins them with the ranker's ranks, and checks both."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.errors import DataError
from tasks.mind2web import page
from tasks.mind2web.rows import Mind2WebRow, Ranked

KEPT = 50
"""Negative candidates of better ranks are kept; of positive ones all are."""


class ReleasedCandidate(msgspec.Struct):
    """An element of the page that could be meant."""

    backend_node_id: str


class ReleasedOperation(msgspec.Struct):
    """What was done; `op` is CLICK, TYPE or SELECT."""

    op: str
    value: str | None = ""


class ReleasedAction(msgspec.Struct):
    """One step; `raw_html`, nine tenths of the bytes, is passed over."""

    action_uid: str
    cleaned_html: str
    operation: ReleasedOperation
    pos_candidates: list[ReleasedCandidate]
    neg_candidates: list[ReleasedCandidate]


class ReleasedAnnotation(msgspec.Struct):
    """One task; `action_reprs` tells its steps in words."""

    annotation_id: str
    confirmed_task: str
    action_reprs: list[str]
    actions: list[ReleasedAction]
    website: str = ""
    domain: str = ""


class ReleasedStep(NamedTuple):
    """A step's place: its task, and its number in it."""

    task: ReleasedAnnotation
    place: int

    @property
    def action(self) -> ReleasedAction:
        """What was done."""
        return self.task.actions[self.place]

    @property
    def score_id(self) -> str:
        """Its name in the score file."""
        return f"{self.task.annotation_id}_{self.action.action_uid}"


def steps(folder: Path, names: Iterable[str]) -> Iterator[ReleasedStep]:
    """Every step of the files, in the order of the files, their tasks and their actions.

    Raises:
        DataError: a file is no list of tasks; the message names the place in it.
    """
    for name in names:
        try:
            tasks = msgspec.json.decode((folder / name).read_bytes(), type=list[ReleasedAnnotation])
        except (OSError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise DataError(f"{folder / name} is no file of Mind2Web, copy it again: {error}") from error
        for task in tasks:
            yield from (ReleasedStep(task, place) for place in range(len(task.actions)))


def row(n: int, step: ReleasedStep, ranks: sqlite3.Connection) -> Mind2WebRow:
    """A step as it is stored.

    Args:
        n: its number.
        step: as released.
        ranks: the table of the converted score file.

    Raises:
        DataError: the score file lacks it or a candidate, or its page cannot show one that is asked about.
    """
    task = step.task
    positives = _ranked(step, step.action.pos_candidates, ranks)
    negatives = _ranked(step, step.action.neg_candidates, ranks)
    found = Mind2WebRow(
        n,
        task.annotation_id,
        step.action.action_uid,
        task.website,
        task.domain,
        task.confirmed_task,
        tuple(task.action_reprs[: step.place]),
        step.action.operation.op,
        str(step.action.operation.value),
        positives,
        tuple((id, rank) for id, rank in negatives if rank < KEPT),
    )
    _check_page(step, found.candidates)
    return found


def _ranked(step: ReleasedStep, candidates: Sequence[ReleasedCandidate], ranks: sqlite3.Connection) -> Ranked:
    found = ranks.execute("SELECT ranks FROM ranks WHERE step = ?", (step.score_id,)).fetchone()
    if found is None:
        raise DataError(f"the score file has no ranks for step {step.score_id}")
    known: dict[str, int] = json.loads(found[0])
    for candidate in candidates:
        if candidate.backend_node_id not in known:
            node = candidate.backend_node_id
            raise DataError(f"the score file has no rank for element {node} of step {step.score_id}")
    return tuple((c.backend_node_id, known[c.backend_node_id]) for c in candidates)


def _check_page(step: ReleasedStep, candidates: Sequence[str]) -> None:
    """Upstream only looks at pages that have something to choose."""
    if not candidates:
        return
    try:
        absent = page.missing(page.parse(step.action.cleaned_html), candidates)
    except DataError as error:
        raise DataError(f"step {step.score_id}: {error}") from None
    if absent:
        raise DataError(f"step {step.score_id}: its page has no element {absent[0]}, which is a candidate")
