"""Reads a reply into what it asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_ACT = re.compile(r"Act:\s*(.+)")
_OPEN, _CLOSE = "```bash\n", "\n```"


@dataclass(frozen=True, slots=True)
class OsAction:
    """One turn's decision; `text` is a script or an answer."""

    kind: Literal["bash", "answer", "finish", "invalid"]
    text: str = ""


def parse(reply: str) -> OsAction:
    """Read a reply: the last line `Act: ...` that names an action decides."""
    for act in reversed(_ACT.findall(reply)):
        word = act[:6].lower()
        if word.startswith("bash"):
            return OsAction("bash", "\n\n".join(_blocks(reply)))
        if word.startswith("finish"):
            return OsAction("finish")
        if word.startswith("answer"):
            text = act[6:].strip()
            left, right = text.find("("), text.rfind(")")
            if left >= 0 and right >= 0:
                return OsAction("answer", text[left + 1 : right])
    return OsAction("invalid")


def _blocks(reply: str) -> list[str]:
    """The bodies of all blocks fenced as bash, by search: a pattern would be quadratic in a hostile reply."""
    found: list[str] = []
    start = reply.find(_OPEN)
    while start >= 0:
        start += len(_OPEN)
        end = reply.find(_CLOSE, start)
        if end < 0:
            break
        found.append(reply[start:end])
        start = reply.find(_OPEN, end + len(_CLOSE))
    return found
