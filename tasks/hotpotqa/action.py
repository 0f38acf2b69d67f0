"""Reads an agent's action line, as upstream does or leniently; pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tasks._shared.reading import balanced

KINDS = ("Search", "Lookup", "Finish")

_EXACT = re.compile(r"^(\w+)\[(.+)\]$")
_LOOSE = re.compile(r"^(\w+)\[(.+)\]")
_LENIENT = re.compile(r"(search|lookup|finish)\s*\[", re.IGNORECASE)

Status = Literal["exact", "trimmed", "lenient", "invalid"]


@dataclass(frozen=True, slots=True)
class HotpotAction:
    """One action; `kind` is Search, Lookup, Finish, or the words that were none of them."""

    kind: str
    argument: str = ""
    status: Status = "exact"

    @property
    def valid(self) -> bool:
        """Whether the environment knows this action."""
        return self.kind in KINDS and self.status != "invalid"


def one_line(text: str, *, join: str = "") -> str:
    """Strip, then delete the newlines that remain (`join` puts something in their place)."""
    return text.strip("\n").strip().replace("\n", join)


def read(text: str) -> HotpotAction:
    """Parse as upstream: the argument runs to the last bracket, kinds are case-sensitive.

    Args:
        text: one line, already through `one_line`.
    """
    if match := _EXACT.match(text):
        return _known(match, "exact")
    if match := _LOOSE.match(text.strip(" ").strip(".")):
        return _known(match, "trimmed")
    return HotpotAction(text, "", "invalid")


def read_lenient(text: str) -> HotpotAction:
    """Parse what upstream reads, and else the first verb of any case up to its balanced bracket."""
    action = read(text)
    if action.valid:
        return action
    found = _LENIENT.search(text)
    if found is None:
        return action
    argument = balanced(text, found.end()).strip()
    kind = found.group(1).capitalize()
    return HotpotAction(kind, argument, "lenient") if argument else action


def _known(match: re.Match[str], status: Status) -> HotpotAction:
    kind, argument = match.group(1), match.group(2)
    return HotpotAction(kind, argument, status if kind in KINDS else "invalid")
