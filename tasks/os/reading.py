"""Reads numbers, sizes and texts in an answer, whatever marks and words are around them."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import islice

from tasks._shared.numerals import in_words, numerals, tidy

LONGEST = 2000
"""Characters of an answer that is read; a longer one is only compared as it is."""

LARGEST = 10**20
"""No problem asks for a number as large."""

_MARKS = " \t\r\n\"'`*"
_SIZE = re.compile(
    r"\W*([0-9][0-9,]{0,20}(?:\.[0-9]{1,6})?) ?([kmgtp]?)(?:i?b|bytes?)?\W*", re.IGNORECASE | re.ASCII
)
_UNITS = "kmgtp"
_PREFIX = re.compile(r"\s{0,9}(?:the )?(?:final )?answer(?: is|:)\s", re.IGNORECASE)
_LOOSE = frozenset({"yes", "no", "true", "false", "none"})


def integer(answer: str) -> int | None:
    """The one whole number that an answer names; None when it names none, or several."""
    if len(answer) > LONGEST:
        return None
    found = list(islice(numerals(tidy(answer)), 2))
    if len(found) > 1:
        return None
    value = found[0].value if found else in_words(answer.strip(_MARKS))
    if value is None or abs(value) >= LARGEST or value != value.to_integral():
        return None
    return int(value)


def size(text: str) -> int | None:
    """A size in bytes, such as `4.0K`, `12 KB` or `1,024 bytes`; None for anything else."""
    found = _SIZE.fullmatch(text) if len(text) <= LONGEST else None
    if not found:
        return None
    power = _UNITS.index(found[2].lower()) + 1 if found[2] else 0
    return int(Decimal(found[1].replace(",", "")) * (1 << 10 * power))


def same(answer: str, expected: str) -> bool:
    """Whether two texts are the same but for marks, a full stop and blanks at the ends of lines."""
    if len(answer) > LONGEST:
        return False
    mine, true = _bare(_PREFIX.sub("", answer, count=1)), _bare(expected)
    return mine == true or (true.lower() in _LOOSE and mine.lower() == true.lower())


def _bare(text: str) -> str:
    text = text.strip(_MARKS)
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].strip(_MARKS)
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n"))
