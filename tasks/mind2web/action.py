"""Reads a reply: the letter of the answer, and what to do with the element."""

from __future__ import annotations

import re
from typing import NamedTuple

NONE = "A"
"""The letter of "none of the above", and what a reply without an answer counts as."""

FIRST = "B"
"""The letter of the first candidate."""

_ANSWER = re.compile(r"Answer: ([A-F])")
_OPERATION = re.compile(r"Action: (CLICK|SELECT|TYPE)")
_VALUE = re.compile(r"Value: (.*)$", re.MULTILINE)


class Mind2WebAction(NamedTuple):
    """What was read out of a reply.

    Attributes:
        letter: from A to F.
        text: the operation, a blank, and the value; `CLICK ` for a bare click.
        answered: whether the reply names a letter at all.
    """

    letter: str
    text: str
    answered: bool

    @property
    def place(self) -> int | None:
        """Which of the candidates is meant, from 0; None for none of them."""
        return None if self.letter == NONE else ord(self.letter) - ord(FIRST)


def parse(reply: str) -> Mind2WebAction:
    """Read a reply as upstream does: first matches, case-sensitive, one blank after each colon.

    `Answer: Boston` is B, and `Answer: G` is no answer.
    """
    text = reply.strip()
    letter, operation, value = (pattern.search(text) for pattern in (_ANSWER, _OPERATION, _VALUE))
    said = f"{_group(operation)} {_group(value)}"
    return Mind2WebAction(_group(letter) or NONE, said, letter is not None)


def wanted(operation: str, value: str) -> str:
    """The recorded action, written as a reply would be and read like one: the first line of its value."""
    return parse(reply(NONE, operation, value)).text


def reply(letter: str, operation: str, value: str) -> str:
    """A reply in the form of the exemplars."""
    lines = [f"Answer: {letter}.", f"Action: {operation}"]
    return "\n".join(lines if operation == "CLICK" else [*lines, f"Value: {value}"])


def _group(found: re.Match[str] | None) -> str:
    return found[1].strip() if found else ""
