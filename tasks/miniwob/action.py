"""The instruction language of the prompts: cutting a reply to an instruction, checking and splitting it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verb = Literal["type", "press", "clickxpath", "clickoption", "movemouse"]
_VERBS: dict[str, Verb] = {
    "type": "type",
    "press": "press",
    "clickxpath": "clickxpath",
    "clickoption": "clickoption",
    "movemouse": "movemouse",
}


@dataclass(frozen=True, slots=True)
class MiniWobAction:
    """An instruction split into its verb and the rest."""

    verb: Verb
    rest: str


def cut(text: str) -> str:
    r"""Reduce a reply to an instruction, as the released scripts do.

    What follows the first backtick goes, lines are joined without a space, the two characters `\n`
    become a line break, spaces and then apostrophes are stripped from the ends.
    """
    text = text.partition("`")[0]
    return text.replace("\n", "").replace("\\n", "\n").strip().strip("'")


def accepted(instruction: str, patterns: Iterable[re.Pattern[str]]) -> bool:
    """Whether an instruction matches one of the prompts' regular expressions."""
    return any(pattern.search(instruction) for pattern in patterns)


def parse(instruction: str) -> MiniWobAction | None:
    """Split an accepted instruction at single spaces; None when its first word is no verb."""
    word, _, rest = instruction.partition(" ")
    verb = _VERBS.get(word.lower())
    if verb is None:
        return None
    if verb == "type":
        rest = rest.replace('"', "")
    if verb == "press":
        rest = rest.partition(" ")[0]
    return MiniWobAction(verb, rest)


def steps(plan: str, most: int) -> int:
    """How many instructions a plan gives: the highest of its consecutive numerals `1.`, `2.`, ... plus one.

    It is a plain search for text, so `11.` also counts as `1.`.
    """
    n = 1
    while f"{n}." in plan and n < most:
        n += 1
    return n
