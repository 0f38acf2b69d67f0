"""What a user asks of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.report.cost import Price
from harness.report.result import TaskResult

Normalize = Literal["none", "gpt4", "agenttuning", "model"]


@dataclass(frozen=True, slots=True)
class Rules:
    """How to normalise, and what to show.

    Attributes:
        against: with `model`, that run's results by task.
        force: print ratios between scores that are not comparable, marked as approximate.
        price: of tokens, shown with what a run took.
        allow_partial: take an Overall over the members that have a score.
    """

    normalize: Normalize = "none"
    against: Mapping[str, TaskResult] | None = None
    force: bool = False
    allow_partial: bool = False
    price: Price | None = None
