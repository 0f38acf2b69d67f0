"""What an episode is worth: F1 of its answer, and the exact match beside it; pure functions."""

from __future__ import annotations

from harness.authoring.answers import exact_match, f1, normalize

__all__ = ["exact_match", "f1", "normalize", "value"]


def value(answer: str | None, gold: str) -> tuple[float, float]:
    """F1 and exact match of an episode; one without an answer gets neither.

    Two empty strings would be an exact match, but an unfinished episode is no answer.
    """
    if answer is None:
        return 0.0, 0.0
    return f1(answer, gold), float(exact_match(answer, gold))
