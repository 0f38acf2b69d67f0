"""When an episode of SciWorld stops, and what a run is worth: pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.sciworld.action import NO_MATCH

FAILURES = 10
LOOP = 5
WAITS = frozenset(("wait", "wait1"))


def failed(observation: str, rule: str) -> bool:
    """Whether an observation counts as a failed action.

    Args:
        observation: what the simulator answered.
        rule: `substring` is upstream's, for which every `nothing` holds a `not`; `strict` leaves that out.
    """
    words = ("can't", "doesn't", "not") if rule == "substring" else ("can't", "doesn't")
    return observation == NO_MATCH or any(word in observation for word in words)


def looping(turns: Sequence[tuple[str, str]], rule: str) -> bool:
    """Whether the last five turns, as (action, observation), hold exactly two different ones.

    Args:
        turns: the turns so far; upstream's list begins with a bare `look around`.
        rule: `on` is upstream's, under which four waits in a row are a loop; `extended` passes over waits.
    """
    counted = [turn for turn in turns[1:] if turn[0] not in WAITS] if rule == "extended" else turns
    last = counted[-LOOP:]
    return len(last) == LOOP and len(set(last)) == 2
