"""Grades an answer by rules, or reads a judge's verdict; pure functions."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import zip_longest

from harness.authoring.answers import exact_match, f1, normalize
from tasks._shared.worked_solution import final_number

TOLERANCE = 1e-6
PHYSICS_TOLERANCE = 0.02
HOTPOT_F1 = 0.8
LONGEST_NAME = 9
"""Letters of the longest unit that is known by its name, with an s."""

WEAK_F1 = 0.5
"""For open answers about a speech, which have no exact rule: half the words in common."""

_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\.\d+")
_WORD = re.compile(r"[A-Za-z]+")
_SAME_LABEL: Mapping[str, str] = {"true": "yes", "false": "no", "correct": "yes", "incorrect": "no"}
_STOPS = ".,;"
"""What may follow a unit without being part of it."""

_SYMBOLS = {
    "newton": "n",
    "joule": "j",
    "watt": "w",
    "meter": "m",
    "metre": "m",
    "second": "s",
    "kilogram": "kg",
    "volt": "v",
    "ohm": "\u03c9",
    "hertz": "hz",
}
_LABELS = {
    "strategy_qa": ("yes", "no"),
    "sports_understanding": ("plausible", "implausible"),
}


def rule(dataset: str, answer: str, gold: str, aliases: Sequence[str] = ()) -> bool:
    """Decide without a judge whether an answer is right; each data set has its own rule."""
    if dataset in _LABELS:
        return _label(answer, _LABELS[dataset]) == gold.strip().lower()
    if dataset == "gsm8k":
        mine, true = final_number(answer), _numbers(gold)
        return mine is not None and bool(true) and abs(float(mine) - true[-1]) <= TOLERANCE
    if dataset == "physics_question":
        return _same_quantity(answer, choices(gold))
    if dataset == "trivia_qa":
        words = f" {_folded(answer)} "
        return any(_names(words, name) for name in (gold, *aliases))
    if dataset == "hotpot_qa":
        return exact_match(answer, gold) or f1(answer, gold) >= HOTPOT_F1
    return f1(answer, gold) >= WEAK_F1


def choices(gold: str) -> tuple[str, ...]:
    """The accepted answers of a physics question: the list in its gold text, else the text itself."""
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


def _label(answer: str, labels: Sequence[str]) -> str:
    """The label that an answer begins with or names as its answer, else its last; "not" turns it round.

    Labels are whole words: `plausible` is part of `implausible`. "Yes or no" is none.
    """
    words = [_SAME_LABEL.get(word.lower(), word.lower()) for word in _WORD.findall(answer)]
    found = [n for n, word in enumerate(words) if word in labels]
    if not found:
        return ""
    if any(words[n + 1] == "or" and words[n + 2] in labels for n in found if n + 2 < len(words)):
        return ""
    named = [n for n in found if words[max(0, n - 2) : n] == ["answer", "is"]]
    chosen = 0 if found[0] == 0 else named[-1] if named else found[-1]
    around = words[max(0, chosen - 2) : chosen]
    turned = labels[0] == "plausible" and ("not" in around or around[-1:] == ["t"])
    return labels[1 - labels.index(words[chosen])] if turned else words[chosen]


def _folded(text: str) -> str:
    """A text normalised as for exact match, and without accents."""
    plain = unicodedata.normalize("NFKD", text)
    return normalize("".join(char for char in plain if not unicodedata.combining(char)))


def _numbers(text: str) -> list[float]:
    return [float(match.replace(",", "")) for match in _NUMBER.findall(text)]


def _same_quantity(answer: str, accepted: Sequence[str]) -> bool:
    """Whether an answer equals an accepted one: the number within 2 %, with the unit if there is one."""
    same = normalize(answer)
    if any(same == normalize(choice) for choice in accepted):
        return True
    mine = set(_numbers(answer))
    units = {_unit(choice) for choice in accepted if _near(mine, _numbers(choice)[:1])}
    if not units or "" in units:
        return bool(units)
    return not units.isdisjoint(_units(answer, max(LONGEST_NAME, *map(len, units))))


def _near(mine: Set[float], true: Sequence[float]) -> bool:
    return any(abs(number - value) <= PHYSICS_TOLERANCE * abs(value) for value in true for number in mine)


def _unit(text: str) -> str:
    """The text after the first number, without blanks."""
    match = _NUMBER.search(text)
    return _unit_name("".join(text[match.end() :].split()).rstrip(_STOPS).lower()) if match else ""


def _unit_name(text: str) -> str:
    """A unit's symbol where its name was written out."""
    return _SYMBOLS.get(text.removesuffix("s"), text)


def _units(text: str, longest: int) -> set[str]:
    """Possible units of the numbers in a text: the next word, and the next two or three words joined.

    Only those of at most `longest` characters, as a text without blanks is the next word of all its numbers.
    """
    words = text.split()
    found: set[str] = set()
    # A set, because a long text repeats itself: the same words give the same units.
    for word, *after in set(zip_longest(words, words[1:], words[2:], words[3:], fillvalue="")):
        end = len(word.rstrip(_STOPS))
        for number in _NUMBER.finditer(word):
            if end - number.end() <= longest:
                rest = word[number.end() :]
                found.update(_joined([rest, *after] if rest else after, longest))
    return found


def _joined(words: Sequence[str], longest: int) -> Iterator[str]:
    """The units that a number's next three words may be."""
    joined = ""
    for word in words[:3]:
        unit = word.rstrip(_STOPS)
        if unit and len(joined) + len(unit) <= longest:
            yield _unit_name((joined + unit).lower())
        joined += word
        if len(joined) > longest:
            return


def _names(answer: str, name: str) -> bool:
    """Whether the normalised name occurs, as whole words, in a normalised answer with blanks around it."""
    words = _folded(name)
    return bool(words) and f" {words} " in answer
