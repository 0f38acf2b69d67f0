"""What an episode is worth: F1 of its answer, and the exact match beside it; pure functions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from harness.authoring.answers import exact_match, f1, normalize
from tasks._shared.numerals import in_words

__all__ = ["careful_f1", "exact_match", "f1", "normalize", "value"]

_MONTHS = (
    "january february march april may june july august september october november december".split()  # noqa: SIM905
)
_SHORT_MONTH = re.compile(r"\b(jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec)\b\.?")
_ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b", re.ASCII)
_ORDINAL = re.compile(r"\b(\d{1,9})(?:st|nd|rd|th)\b(?: of\b)?", re.ASCII)
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()  # noqa: SIM905
_INITIAL = re.compile(r"\b([a-z])\. ?(?=[a-z]\b|[a-z]\.)|\b([a-z])\.(?=\W|$)")
_BETWEEN = re.compile(r"(?<=\d)\s?(?:-|\bto\b)\s?(?=\d)", re.ASCII)
_THOUSANDS = re.compile(r"(?<=\d)[, ](?=\d{3}(?!\d))", re.ASCII)
_MONEY = re.compile(r"\$ ?(\d++(?:\.\d++)?+)", re.ASCII)
_MARKS = str.maketrans(
    {"\u2013": "-", "\u2014": "-", "\u2212": "-", "\u2019": "'", "\u2018": "'", "&": " and "}
)
_SAME: Mapping[str, str] = {
    **dict.fromkeys(("kilometres", "kilometers", "kilometre", "kilometer"), "km"),
    **dict.fromkeys(("metres", "meters", "metre", "meter"), "m"),
    **dict.fromkeys(("feet", "foot"), "ft"),
    **dict.fromkeys(("miles", "mile"), "mi"),
    **dict.fromkeys(("dollars", "usd"), "dollar"),
    "percent": "%",
    "st.": "saint",
    **{word: str(n) for n, word in enumerate(_ORDINALS, start=1)},
}
_WORD = re.compile(r"st\.|%|[^\W_]+|[^\w]|_")
_NUMBER_WORD = re.compile(r"[a-z]+(?:[ -](?:and )?[a-z]+)*")


def value(answer: str | None, gold: str) -> tuple[float, float]:
    """F1 and exact match of an episode; one without an answer gets neither.

    Two empty strings would be an exact match, but an unfinished episode is no answer.
    """
    if answer is None:
        return 0.0, 0.0
    return f1(answer, gold), float(exact_match(answer, gold))


def careful_f1(answer: str | None, gold: str) -> float:
    """F1 under `fixed`: dates, numbers, units, accents and dashes count as equal in any form.

    An answer that begins with the right yes or no is right whatever reasons follow.
    """
    if answer is None:
        return 0.0
    wanted = normalize(gold)
    if wanted in ("yes", "no"):
        return float(normalize(answer).split(" ", 1)[0] == wanted)
    return max(f1(answer, gold), f1(_alike(answer), _alike(gold)))


def _alike(text: str) -> str:
    """The text with one form for what can be written in several."""
    text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    text = _THOUSANDS.sub("", text.lower().translate(_MARKS))
    text = _ISO.sub(_spelt_date, text)
    text = _INITIAL.sub(lambda found: found[1] or found[2], _ORDINAL.sub(r"\1 ", text))
    text = _SHORT_MONTH.sub(lambda found: next(m for m in _MONTHS if m.startswith(found[1][:3])), text)
    text = _MONEY.sub(r"\1 dollar", _BETWEEN.sub(" ", text))
    words = "".join(_SAME.get(word, word) for word in _WORD.findall(text))
    number = in_words(words) if _NUMBER_WORD.fullmatch(words.strip()[:100]) else None
    if number is not None and len(words.split()) <= 5:
        words = str(number)
    return words.replace("-", " ").replace("%", " percent")


def _spelt_date(found: re.Match[str]) -> str:
    month = int(found[2])
    return f"{int(found[3])} {_MONTHS[month - 1]} {found[1]}" if 1 <= month <= 12 else found[0]
