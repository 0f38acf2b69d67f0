"""How a question set reads a reply and compares what it read with the right answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from harness.authoring.answers import f1, first_choice, last_number, normalize

Comparison = Literal["exact", "verbatim", "contains", "number", "choice", "f1"]
"""Same text after normalisation; same characters; the answer's words in the reply; the last number; the first
choice that is a word of its own; token F1."""

Read = Literal["all", "first_line", "last_line"]
"""Which part of a reply is looked at; lines without a character are passed over."""


class Rule(NamedTuple):
    """A way to compare: `read` gives None or an empty text where it finds nothing."""

    read: Callable[[str, Sequence[str]], Any]
    equal: Callable[[Any, Any], float]


def _words(text: str, choices: Sequence[str]) -> str:
    del choices
    return normalize(text)


def _characters(text: str, choices: Sequence[str]) -> str:
    del choices
    return text.strip()


def _number(text: str, choices: Sequence[str]) -> Decimal | None:
    del choices
    return last_number(text)


def _same(said: object, gold: object) -> float:
    return float(said == gold)


def _within(said: str, gold: str) -> float:
    return float(f" {gold} " in f" {said} ")


RULES: dict[Comparison, Rule] = {
    "exact": Rule(_words, _same),
    "verbatim": Rule(_characters, _same),
    "contains": Rule(_words, _within),
    "number": Rule(_number, _same),
    "choice": Rule(first_choice, _same),
    "f1": Rule(_characters, f1),
}


def excerpt(text: str, read: Read, after: str) -> str:
    """The part of a reply that counts: what follows the last `after`, of that all or one line."""
    _, _, text = text.rpartition(after) if after else ("", "", text)
    if read == "all":
        return text
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[0 if read == "first_line" else -1] if lines else ""


def value(said: str, golds: Sequence[str], rule: Rule, choices: Sequence[str]) -> float:
    """The best of the right answers' values in [0, 1]; 0 where nothing can be read."""
    found = rule.read(said, choices)
    if found is None or found == "":
        return 0.0
    wanted = [rule.read(gold, choices) for gold in golds]
    return max((rule.equal(found, gold) for gold in wanted if gold is not None and gold != ""), default=0.0)
