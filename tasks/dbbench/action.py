"""Reads a reply as upstream's regular expressions do: its action, its SQL, its answer."""

from __future__ import annotations

import re

_ACTION = "Action: "
_OPEN, _CLOSE = "```sql\n", "\n```"
FINAL = re.compile(r"\nFinal Answer:(.*)")


def word(text: str) -> str | None:
    """The word after the first `Action: `, as upstream matches it, or None."""
    return _between(text, _ACTION, "\n")


def statement(text: str) -> str | None:
    """The SQL of the first block, on one line as upstream sends it, or None."""
    found = _between(text, _OPEN, _CLOSE)
    return None if found is None else found.strip().replace("\n", " ")


def _between(text: str, start: str, end: str) -> str | None:
    """The text between the first `start` and the next `end`, or None.

    By search, not by a pattern: where no `end` follows, that would look for it behind every `start`.
    """
    _, found, rest = text.partition(start)
    inside, ended, _ = rest.partition(end)
    return inside if found and ended else None


def final(text: str) -> str:
    """The rest of the line after `Final Answer:`, leading space and all; empty when there is none."""
    found = FINAL.search(text)
    return found.group(1) if found else ""
