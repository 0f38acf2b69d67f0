"""Grades an answer: by rules that need no key, or by reading a judge's verdict; pure functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from tasks._shared.answers import exact_match, f1, normalize

TOLERANCE = 1e-6
PHYSICS_TOLERANCE = 0.02
ANSWER_CHARACTERS = 8_192
"""What is graded of an answer; a solver's tokens give fewer."""

HOTPOT_F1 = 0.8
WEAK_F1 = 0.5
"""Open answers about a speech have no rule; half the words in common is weak evidence, and marked so."""

_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\.\d+")
_NEXT = re.compile(r"\s*(\S{1,100})")
"""The next word after a number; no unit is longer."""

_WORD = re.compile(r"[A-Za-z]+")
_LABELS = {
    "strategy_qa": ("yes", "no"),
    "sports_understanding": ("plausible", "implausible"),
}


def rule(dataset: str, answer: str, gold: str, aliases: Sequence[str] = ()) -> bool:
    """Decide without a judge whether an answer is right; each data set has its own rule."""
    answer = answer[:ANSWER_CHARACTERS]
    if dataset in _LABELS:
        return _first_label(answer, _LABELS[dataset]) == gold.strip().lower()
    if dataset == "gsm8k":
        mine, true = _numbers(answer), _numbers(gold)
        return bool(mine and true) and abs(mine[-1] - true[-1]) <= TOLERANCE
    if dataset == "physics_question":
        return any(_same_quantity(answer, choice) for choice in choices(gold))
    if dataset == "trivia_qa":
        return any(_names(answer, name) for name in (gold, *aliases))
    if dataset == "hotpot_qa":
        return exact_match(answer, gold) or f1(answer, gold) >= HOTPOT_F1
    return f1(answer, gold) >= WEAK_F1


def choices(gold: str) -> tuple[str, ...]:
    """The answers a physics question accepts: the list its gold text spells out, else the text itself."""
    start = gold.find("[")
    if start < 0:
        return (gold,)
    try:
        listed = ast.literal_eval(gold[start:].strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return (gold,)
    return tuple(str(choice) for choice in listed) if isinstance(listed, list) and listed else (gold,)


def verdict_paper(text: str) -> bool:
    """Upstream's reading of a judge: the stripped completion is CORRECT and nothing else."""
    return text.strip() == "CORRECT"


def verdict_fixed(text: str) -> bool | None:
    """The first word CORRECT or INCORRECT decides; None when there is neither."""
    for word in _WORD.findall(text):
        if word.upper() in ("CORRECT", "INCORRECT"):
            return word.upper() == "CORRECT"
    return None


def _first_label(answer: str, labels: Sequence[str]) -> str:
    """The first label that stands as a word of its own; `plausible` is part of `implausible`."""
    return next((word.lower() for word in _WORD.findall(answer) if word.lower() in labels), "")


def _numbers(text: str) -> list[float]:
    return [float(match.replace(",", "")) for match in _NUMBER.findall(text)]


def _same_quantity(answer: str, choice: str) -> bool:
    """The choice's number within two per cent, and its unit if it has one."""
    if normalize(answer) == normalize(choice):
        return True
    mine, true = _numbers(answer), _numbers(choice)
    if not mine or not true:
        return False
    close = any(abs(number - true[0]) <= PHYSICS_TOLERANCE * abs(true[0]) for number in mine)
    return close and _unit(choice) in ("", *_units(answer))


def _unit(text: str) -> str:
    """What follows the first number, without blanks."""
    match = _NUMBER.search(text)
    return "".join(text[match.end() :].split()).rstrip(".,;").lower() if match else ""


def _units(text: str) -> tuple[str, ...]:
    """What may be the unit of each number in a text: its next word, and its next two joined."""
    found: list[str] = []
    for match in _NUMBER.finditer(text):
        words = _next_words(text, match.end())
        found += ["".join(words[: n + 1]).rstrip(".,;").lower() for n in range(len(words))]
    return tuple(found)


def _next_words(text: str, at: int) -> list[str]:
    """At most three words from a place on."""
    words: list[str] = []
    while len(words) < 3 and (match := _NEXT.match(text, at)):
        words.append(match[1])
        at = match.end()
    return words


def _names(answer: str, name: str) -> bool:
    """Whether the normalised name stands in the normalised answer as whole words."""
    words = normalize(name)
    return bool(words) and f" {words} " in f" {normalize(answer)} "
