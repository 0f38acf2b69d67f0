"""Turns a model's text into an action of the simulator, as AgentTuning's evaluation did."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

ACTION_LIMIT = 4096
"""Characters of an action that reach the simulator; every action it knows is far shorter."""

NO_MATCH = "No known action matches that input."
"""What the simulator answers to text it cannot parse."""

_FOCUS_WORDS = re.compile(r"\b(?:focus|on|in|to)\b", re.IGNORECASE)
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 ]+")


class Match(NamedTuple):
    """The action to send and how it was found: `exact`, `overlap` or `none`."""

    action: str
    kind: str


def candidates(
    valid: Iterable[str], rooms: Sequence[str], seen: str, barred: Sequence[str] = ()
) -> list[str]:
    """The actions a reply may become, shortest first (upstream left ties to Python's set order).

    Args:
        valid: what the simulator lists.
        rooms: names of rooms; their doors may always be opened and they may never be focused on.
        seen: what the agent sees and carries; every word of an object in focus must occur in it.
        barred: actions not allowed this turn.
    """
    allowed = set(valid) | {f"open door to {room}" for room in rooms}
    allowed -= {f"focus on {thing}" for thing in ("agent", "air", *rooms)}
    allowed -= set(barred)
    return sorted((a for a in allowed if _may(a, seen)), key=lambda action: (len(action), action))


def _may(action: str, seen: str) -> bool:
    if "door" in action and "open" not in action:
        return False
    if action.startswith("focus on"):
        return all(word in seen for word in _FOCUS_WORDS.sub("", action).split(" "))
    return True


def match(text: str, allowed: Sequence[str]) -> Match:
    """Find the action that shares most words with a text; the first of several wins.

    Args:
        text: the model's action, whole, without its `Action:`.
        allowed: from `candidates`.
    """
    exact = text.replace("green house", "greenhouse").strip()
    if exact in set(allowed):
        return Match(exact, "exact")
    words = set(text.split(" "))
    best, shared = text, 0
    for action in allowed:
        common = len(words.intersection(action.split(" ")))
        if common > shared:
            best, shared = action, common
    return Match(_NOT_PLAIN.sub("", best)[:ACTION_LIMIT], "overlap" if shared else "none")
