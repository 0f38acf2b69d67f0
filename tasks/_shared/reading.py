"""Reads arguments in brackets, which several tasks' actions have."""

from __future__ import annotations

import re

_BRACKET = re.compile(r"[\[\]]")


def balanced(text: str, start: int) -> str:
    """The text from `start` to the bracket that closes the one before it, or to the end."""
    depth = 1
    for found in _BRACKET.finditer(text, start):
        depth += 1 if found[0] == "[" else -1
        if depth == 0:
            return text[start : found.start()]
    return text[start:]
