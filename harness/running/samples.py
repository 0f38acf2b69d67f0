"""Chooses which samples of a task are played."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.catalog.registry import nearest
from harness.errors import UsageError
from harness.seeds import derive
from harness.types import Sample

_SEED = 0
"""The same samples in every run, so that two runs with one limit can be compared sample by sample."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many samples of a task are played at most.

    Attributes:
        rule: `spread` takes them evenly from the groups that the samples' labels form, at random within a
            group; the samples of a smaller limit are among those of a larger one. `first` takes the first.
    """

    count: int
    rule: Literal["spread", "first"] = "spread"


def select(
    samples: Sequence[Sample], ids: Sequence[str] | None, limit: Limit | None, task: str
) -> list[Sample]:
    """Choose samples by id and limit; they keep the task's order.

    Raises:
        UsageError: an id that the task does not have.
    """
    chosen = list(samples) if ids is None else _named(samples, ids, task)
    if limit is None or limit.count >= len(chosen):
        return chosen
    if limit.rule == "first":
        return chosen[: limit.count]
    taken = set(spread(chosen)[: limit.count])
    return [sample for place, sample in enumerate(chosen) if place in taken]


def spread(samples: Sequence[Sample]) -> list[int]:
    """Places of all samples in the order in which a growing limit takes them.

    The groups take turns, in an order drawn once; each gives its samples in an order drawn once.
    """
    groups: defaultdict[tuple[tuple[str, str], ...], list[int]] = defaultdict(list)
    for place, sample in enumerate(samples):
        groups[tuple(sorted(sample.labels.items()))].append(place)
    order: list[tuple[int, int, int]] = []
    for labels, places in groups.items():
        turn = derive(_SEED, "group", *labels)
        places.sort(key=lambda place: derive(_SEED, "sample", samples[place].id))
        order += [(round, turn, place) for round, place in enumerate(places)]
    return [place for _, _, place in sorted(order)]


def _named(samples: Sequence[Sample], ids: Sequence[str], task: str) -> list[Sample]:
    known = {sample.id: sample for sample in samples}
    for wanted in ids:
        if wanted not in known:
            raise (
                nearest(wanted, known, f"sample of {task}")
                if len(known) < 400
                else UsageError(f"unknown sample {wanted!r} of {task}: its ids look like {samples[0].id!r}")
            )
    wanted_ids = set(ids)
    return [sample for sample in samples if sample.id in wanted_ids]
