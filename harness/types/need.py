"""One thing a task cannot run without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["play", "judge", "rank", "draw"]


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that must be present.

    Attributes:
        name: what it is, as a user would call it.
        missing: returns None when present, else what is wrong in a few words.
        fix: the command, or sentence, that brings it.
        stage: `play` for what episodes need, `judge` for what reading a judge's verdicts needs, `rank` for a
            model that ranks choices behind a text that begins its turn, `draw` for one that draws at a
            temperature: it is tried, and `fix` says how the task does without.
    """

    name: str
    missing: Callable[[], str | None]
    fix: str
    stage: Stage = "play"
