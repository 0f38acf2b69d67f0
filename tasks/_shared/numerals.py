"""Finds the numbers in a text as a reader sees them; pure, and linear in the text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

_NUMERAL = re.compile(
    r"(?P<sign>(?<![\w)\]}])[-+]|\b(?:negative|minus) (?=[$\d]))?(?P<money>[$\u20ac\u00a3\u00a5] ?)?"
    r"(?P<inner>(?<=[$\u20ac\u00a3\u00a5])-)?(?P<digits>\d++(?:,\d++)*+(?:\.\d++)?+|\.\d++)",
    re.IGNORECASE | re.ASCII,
)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{2,3})*+(?<=,\d{3})(?:\.\d+)?")
_SCALE = re.compile(
    r"\s{0,2}(?:(?P<word>hundred|thousand|million|billion)\b|(?:\*|x|\u00d7|\\times)\s{0,2}10"
    r"(?:\^|\*\*)\{?(?P<power>\d{1,2})(?!\d)\}?|(?P<kilo>k)\b)",
    re.IGNORECASE,
)
_OVER = re.compile(r" ?/ ?(?P<below>\d++(?:\.\d++)?+)(?![\d/])", re.ASCII)
_MIXED = re.compile(r" (?P<above>\d{1,4})/(?P<below>\d{1,4})(?![\d/])", re.ASCII)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9}
_RANGE = frozenset({"-", "--", "~", " ~ ", " to ", "\u2013", "\u2014", " \u2013 ", " \u2014 "})
_LONGEST_DIVISION = 40
"""Digits of a fraction's parts; longer ones are no number that anybody asks for."""

# How thousands are set apart, between a digit and three others, and marks that mean nothing.
_SET_APART = re.compile(r"(?<=\d)(?:\{,\}|\\[,;:! ]|[\u00a0\u2007\u2009\u202f'\u2019_])(?=\d{3}(?!\d))")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]{1,40})\}\{([^{}]{1,40})\}")
_MARKS = re.compile(
    r"\*\*+|__+|\\[()\[\]!,;: ]|\\(?:text|mathrm|mathbf|boldsymbol|textbf|left|right)\b|[{}`]"
)
_PLAIN = str.maketrans({"\u2212": "-", "\u2044": "/", "\u2215": "/", "\u00b2": "", "\u00b3": ""})
_ANY_MARK = re.compile(r"[\\{}'_^*`]")
"""What every mark that `tidy` takes out of plain ASCII has; most replies have none of it."""
_VULGAR = re.compile(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e])")
_UNIT_POWER = re.compile(r"(?<=[a-z}])\^\{?[23]\}?")

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: n for n, word in enumerate([*_ONES.split(), "seventeen", "eighteen", "nineteen"])}
_WORDS |= {word: 10 * n for n, word in enumerate(_TENS.split(), start=2)}
_BIG = {"hundred": 100, "thousand": 1000, "million": 10**6}
_NAMED = re.compile(r"[a-z]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Numeral:
    """One number of a text.

    Attributes:
        value: None for what is no single number: part of a range or of a time of day, a division by zero.
        start, end: its place.
        money: whether a currency sign comes before it.
    """

    value: Decimal | None
    start: int
    end: int
    money: bool = False


def tidy(text: str) -> str:
    """The text with plain digits, one way of grouping thousands, `a/b` for fractions, and no mark-up."""
    if not text.isascii():
        text = _VULGAR.sub(" ", _SET_APART.sub(",", text.translate(_PLAIN)))
        text = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    elif not _ANY_MARK.search(text):
        return text
    else:
        text = _SET_APART.sub(",", text)
    text = _UNIT_POWER.sub("", text)
    return _MARKS.sub(" ", _FRACTION.sub(r"\1/\2", text.replace("\\$", "$").replace("\\%", "%")))


def numerals(text: str, start: int = 0) -> Iterator[Numeral]:
    """The numbers of a tidied text in their order; what belongs together is one: `36/2`, `2 1/2`, `18-19`."""
    before: Numeral | None = None
    for one in _single(text, start):
        if before is None:
            before = one
            continue
        gap = text[before.end : one.start] if one.start - before.end <= 4 else "...."
        joined = _joined(before, one, gap)
        if joined is None:
            yield before
            before = one
        else:
            before = joined
    if before is not None:
        yield before


def _single(text: str, start: int) -> Iterator[Numeral]:
    at = start
    while found := _NUMERAL.search(text, at):
        at = found.end()
        digits = found["digits"]
        negative = (found["sign"] or found["inner"] or "+") != "+"
        if "," in digits and not _GROUPED.fullmatch(digits):
            place = found.start("digits")
            for piece in digits.split(","):
                yield Numeral(Decimal(piece), place, place + len(piece))
                place += len(piece) + 1
            continue
        value: Decimal | None = Decimal(digits.replace(",", ""))
        if over := _OVER.match(text, at) or _MIXED.match(text, at):
            value, at = _fraction(value, over), over.end()
        elif scale := _SCALE.match(text, at):
            power = int(scale["power"]) if scale["power"] else _SCALES.get((scale["word"] or "").lower(), 3)
            value, at = value.scaleb(power), scale.end()
        signed = value.copy_negate() if value is not None and negative else value
        yield Numeral(signed, found.start(), at, bool(found["money"]))


def _fraction(whole: Decimal, over: re.Match[str]) -> Decimal | None:
    """What comes before the line, or before a fraction, with the rest of it."""
    parts = over.groupdict()
    below = Decimal(parts["below"])
    if not below or max(len(whole.as_tuple().digits), len(parts["below"])) > _LONGEST_DIVISION:
        return None
    return whole / below if parts.get("above") is None else whole + Decimal(parts["above"]) / below


def _joined(first: Numeral, second: Numeral, gap: str) -> Numeral | None:
    """Two numbers that are one: a time of day, or a range, which has no value."""
    if gap == ":" and second.end - second.start == 2:
        value = first.value if second.value == 0 else None
    elif gap in _RANGE:
        value = None
    else:
        return None
    return Numeral(value, first.start, second.end, first.money)


def in_words(text: str) -> Decimal | None:
    """The number that a text's first words spell, such as `twenty-five` or `three hundred and five`."""
    total = current = 0
    seen = False
    for found in _NAMED.finditer(text[:200]):
        word = found[0].lower()
        if word in _WORDS:
            current, seen = current + _WORDS[word], True
        elif word in _BIG and seen:
            current *= _BIG[word]
            if word != "hundred":
                total, current = total + current, 0
        elif word != "and" or not seen:
            break
    return Decimal(total + current) if seen else None
