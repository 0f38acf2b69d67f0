"""Words that many lines of a report need."""

from __future__ import annotations

from typing import Literal


def counted(number: int, thing: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def were(number: int, thing: str, many: Literal["were", "are"] = "were") -> str:
    """`1 episode was`, `2 episodes were`; or `is` and `are`."""
    one = "was" if many == "were" else "is"
    return f"{counted(number, thing)} {one if number == 1 else many}"
