"""When a difference counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Levels:
    """When a difference counts.

    Attributes:
        alpha: level of the whole family of tasks.
        min_effect: smallest difference that counts, in points of the task's scale.
    """

    alpha: float = 0.05
    min_effect: float = 1.0
