"""Counts and durations as people read them."""

from __future__ import annotations

from typing import Literal


def counted(number: int, thing: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def were(number: int, thing: str, many: Literal["were", "are"] = "were") -> str:
    """`1 episode was`, `2 episodes were`; or `is` and `are`."""
    one = "was" if many == "were" else "is"
    return f"{counted(number, thing)} {one if number == 1 else many}"


def duration(seconds: float) -> str:
    """How long something takes: `40 s`, `12 min` or `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
