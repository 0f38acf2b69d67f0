"""What a run's file records of one task, and the remarks on its score that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from harness.report.conditions import Conditions
from harness.report.head import selection
from harness.types import Row


@dataclass(frozen=True, slots=True)
class WorldRecord:
    """What a task's world reported about itself.

    Attributes:
        notes: remarks that a reader needs to judge the score.
        not_comparable: why the scores are not comparable with the published ones, stand-ins first.
    """

    notes: tuple[str, ...] = ()
    not_comparable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What a run's file records of one task.

    Attributes:
        config: of the run.
        chosen: the task's data source, options, version and number of samples in this run.
        facts: of the task's spec at the time of the run.
        world: what the task's world reported about itself.
        judge: name of the judge, empty when there was none.
        conditions: under which its answers were got.
        selected: which of all samples these are, as the plan had it.
        unrecorded: its episodes that failed because the replayed recording lacks an answer.
        codes: how many states of the task's code played it.
        model: why no score of the model compares with a published one; empty when nothing is against it.
    """

    config: Mapping[str, Any]
    chosen: Mapping[str, Any]
    facts: Mapping[str, Any]
    world: WorldRecord
    judge: str
    conditions: Conditions
    selected: Mapping[str, Any] | None
    unrecorded: int
    codes: int
    model: str = ""

    @property
    def whole(self) -> bool:
        """Whether every sample of the task was played; false where the plan did not say."""
        return self.selected is not None and int(self.chosen["count"]) >= int(self.selected["of"])


def notes(record: TaskRecord, rows: Sequence[Row]) -> list[str]:
    """The remarks below a table."""
    found: list[str] = []
    if record.chosen["source"] == "fixture":
        found.append("FIXTURE: self-made samples, not the benchmark")
    limit = cast("Mapping[str, Any]", (record.selected or {}).get("limit") or {})
    spread = limit.get("rule") == "spread"
    samples, repeats = int(record.chosen["count"]), int(record.config.get("repeats", 1))
    if text := selection(record.selected, samples, repeats, _groups(rows) if spread else ""):
        found.append(text)
    if repeats > 1 and record.conditions.decodings == ["greedy"]:
        found.append("greedy decoding: its repeats are the same draw, but for what the environment varies")
    if record.codes > 1:
        found.append(f"its code changed {record.codes - 1} times during the run, its version did not")
    return [*found, *record.world.notes, *record.conditions.notes()]


def technical(record: TaskRecord) -> tuple[str, ...]:
    """What only a developer of the task needs."""
    excepts = cast("Mapping[str, str]", record.facts["excepts"])
    return tuple(f"the task's own tests make an exception ({line}): {why}" for line, why in excepts.items())


def coverage(planned: int, record: TaskRecord) -> list[str]:
    """How much of a task the replayed recording covers, where it does not cover all of it."""
    if not record.unrecorded:
        return []
    covered = f"{planned - record.unrecorded}/{planned}"
    return [f"the recording covers {covered} episodes: the others need an answer that it does not hold"]


def _groups(rows: Sequence[Row]) -> str:
    """The labels that a task's samples carry, with how many values there are: `57 subjects`."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.labels.items():
            values.setdefault(name, set()).add(value)
    return " and ".join(f"{len(found)} {name}{'s' * (len(found) != 1)}" for name, found in values.items())
