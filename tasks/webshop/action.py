"""Reads a reply: the first search or click, and what it is about."""

from __future__ import annotations

import re
from dataclasses import dataclass

PARSERS = {
    # AgentTuning's needs exactly one line break after the label, AgentBench v0.2's any number of them.
    "agenttuning": re.compile(r"[Aa]ction: *+\n *+(?=(?:search|click)\[)"),
    "agentbench-v0.2": re.compile(r"[Aa]ction: *+\n*+ *+(?=(?:search|click)\[)"),
}
"""What comes before an action."""


@dataclass(frozen=True, slots=True)
class ShopAction:
    """What a reply does; `argument` is in lower case."""

    text: str
    verb: str
    argument: str


def parse(text: str, parser: str) -> ShopAction | None:
    """The first action of a reply, up to its first closing bracket; None when there is none.

    The shop reads it once more: the argument begins after the last opening bracket that leaves one, so that
    an argument with a bracket in it makes a verb the shop does not know.
    """
    action = _first(text, PARSERS[parser])
    if action is None:
        return None
    at = action.rfind("[", 0, len(action) - 2)
    return ShopAction(action, action[:at], action[at + 1 : -1].lower())


def _first(text: str, label: re.Pattern[str]) -> str | None:
    """The first labelled action that a bracket closes in the same line, after at least one character."""
    searched = 0
    for found in label.finditer(text):
        start = found.end()
        if start < searched:  # no bracket closes in the rest of this line
            continue
        end = text.find("\n", start)
        searched = len(text) if end < 0 else end
        close = text.find("]", text.index("[", start) + 2, searched)
        if close >= 0:
            return text[start : close + 1]
    return None
