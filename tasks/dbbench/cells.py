"""Writes a cell of an answer in one way, whatever marks, case or number format it comes in."""

from __future__ import annotations

import re
from typing import Any

_MARKS = " \t\r\n\"'`*"
_DASHES = str.maketrans({"\u2212": "-", "\u2013": "-", "\u2014": "-", "\u00a0": " "})
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_MONEY = re.compile(r"(-?)[$\u20ac\u00a3] ?(?=[\d.])")
_NULLS = frozenset({"null", "none", "nil", "n/a"})


def plain(value: Any) -> str:
    """A cell's text without marks around it, in lower case; numbers as Python prints them, NULL as `none`."""
    text = str(value).translate(_DASHES).strip(_MARKS)
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].rstrip(_MARKS)
    text = " ".join(text.lower().split())
    if text in _NULLS:
        return "none"
    return number(text) or text


def number(text: str) -> str | None:
    """A number as Python prints it, of a text that is one: with a currency or percent sign, or thousands."""
    bare = _MONEY.sub(r"\1", text, count=1).removesuffix("%").rstrip()
    if _GROUPED.fullmatch(bare):
        bare = bare.replace(",", "")
    try:
        return repr(float(bare))
    except ValueError:
        return None
