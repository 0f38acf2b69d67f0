"""Compares two texts word by word, within bounded time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from harness.storage.codec import shared_prefix

WORDS = 1_500
"""Texts that differ in more words are compared line by line; time grows with the square."""
CHARACTERS = 100_000
"""Of longer texts only the start is compared."""

_WORD = re.compile(r"\s+|\w+|[^\w\s]")
_LINE = re.compile(r"[^\n]*\n?")

Part = tuple[str, str]
"""`=`, `-` (only in the first) or `+` (only in the second), and the text."""


def compared(first: str, second: str) -> dict[str, Any]:
    """Parts of two texts in their order: in both, or only in one of them.

    Returns:
        `parts`: [sign, text] each; `cut`: whether one of the texts was longer than what was compared.
    """
    cut = max(len(first), len(second)) > CHARACTERS
    first, second = first[:CHARACTERS], second[:CHARACTERS]
    head = _boundary(first, shared_prefix(first, second))
    turned = first[head:][::-1]
    tail = _boundary(turned, shared_prefix(turned, second[head:][::-1]))
    a, b = first[head : len(first) - tail], second[head : len(second) - tail]
    parts = [("=", first[:head]), *_parts(a, b), ("=", first[len(first) - tail :])]
    return {"parts": [[sign, text] for sign, text in parts if text], "cut": cut}


def _boundary(text: str, end: int) -> int:
    """The last place up to `end` that is not within a word."""
    while 0 < end < len(text) and text[end - 1].isalnum():
        end -= 1
    return end


def _parts(first: str, second: str) -> list[Part]:
    for pattern in (_WORD, _LINE):
        a, b = pattern.findall(first), pattern.findall(second)
        if max(len(a), len(b)) <= WORDS:
            return _matched(a, b)
    return [("-", first), ("+", second)]


def _matched(a: Sequence[str], b: Sequence[str]) -> list[Part]:
    parts: list[Part] = []
    for what, i, j, m, n in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if what == "equal":
            parts.append(("=", "".join(a[i:j])))
            continue
        parts += [("-", "".join(a[i:j])), ("+", "".join(b[m:n]))]
    return parts
