"""Reads short answers out of replies and compares them; pure, and linear in the text."""

from __future__ import annotations

import re
import string
from collections import Counter, deque
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

MAX_DIGITS = 4300
"""Python refuses to read longer integer literals."""

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_CLOSED = frozenset({"yes", "no", "noanswer"})
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w)])[-+\u2212])?\$?(?P<inner>(?<=\$)[-\u2212])?"
    r"(?P<digits>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)",
    re.ASCII,
)


def normalize(text: str) -> str:
    """Lower-case, delete ASCII punctuation, drop articles, squeeze whitespace; in this order."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: str) -> bool:
    """Whether both are the same after normalisation."""
    return normalize(answer) == normalize(gold)


def f1(answer: str, gold: str) -> float:
    """Token F1 in [0, 1] as HotpotQA defines it; yes or no is all or nothing, two empty answers give 0."""
    mine, true = normalize(answer), normalize(gold)
    if mine != true and (mine in _CLOSED or true in _CLOSED):
        return 0.0
    ours, theirs = mine.split(), true.split()
    same = sum((Counter(ours) & Counter(theirs)).values())
    if not same:
        return 0.0
    precision, recall = same / len(ours), same / len(theirs)
    return 2 * precision * recall / (precision + recall)


def literal_int(digits: str) -> int | None:
    """What Python's `eval` makes of a run of digits; None where it would raise.

    It knows only ASCII digits, refuses leading zeros (except in zero itself) and literals over 4,300 digits.
    """
    if not digits.isascii() or not digits.isdigit() or len(digits) > MAX_DIGITS:
        return None
    if digits[0] == "0" and digits.strip("0"):
        return None
    return int(digits)


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last of a pattern's matches; keeps one at a time, a hostile reply may hold millions."""
    return next(iter(deque(pattern.finditer(text), maxlen=1)), None)


def last_number(text: str) -> Decimal | None:
    """The last number of a text, with its sign and without its thousands commas and dollar sign."""
    found = last_match(_NUMBER, text)
    if found is None:
        return None
    number = Decimal(found["digits"].replace(",", ""))
    return number.copy_negate() if (found["sign"] or found["inner"] or "+") in "-\u2212" else number


def first_choice(text: str, choices: Sequence[str]) -> str | None:
    """The first choice in a text that is a word of its own, not part of a word or a number."""
    found = _alone(tuple(choices)).search(text)
    return found.group() if found else None


@lru_cache(maxsize=64)
def _alone(choices: tuple[str, ...]) -> re.Pattern[str]:
    words = "|".join(re.escape(choice) for choice in sorted(choices, key=len, reverse=True))
    return re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])")
