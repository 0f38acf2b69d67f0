"""How alike two short texts are: token_set_ratio as thefuzz 0.19 computes it with the standard library."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import SequenceMatcher
from functools import lru_cache

Ratio = Callable[[str, str], int]
"""From 0 to 100."""

_LATIN_1 = {code: None for code in range(0x80, 0x100)}
_NO_WORD = re.compile(r"\W")


def _plain(text: str) -> str:
    return _NO_WORD.sub(" ", text.translate(_LATIN_1)).lower().strip()


def _ratio(one: str, other: str) -> int:
    if not one or not other:
        return 0
    return 100 if one == other else round(100 * SequenceMatcher(None, one, other).ratio())


@lru_cache(maxsize=1 << 14)
def token_set_ratio(one: str, other: str) -> int:
    """Compare two texts as sets of words; one whose words are all in the other is fully alike."""
    first, second = _plain(one), _plain(other)
    if not first or not second:
        return 0
    words, others = set(first.split()), set(second.split())
    common = " ".join(sorted(words & others))
    left = f"{common} {' '.join(sorted(words - others))}".strip()
    right = f"{common} {' '.join(sorted(others - words))}".strip()
    return max(_ratio(common, left), _ratio(common, right), _ratio(left, right))


def ratio_of(name: str) -> Ratio:
    """The comparison that the option `fuzz` names."""
    if name == "difflib":
        return token_set_ratio
    from rapidfuzz import fuzz, utils  # pyright: ignore[reportMissingImports]

    def levenshtein(one: str, other: str) -> int:
        return round(fuzz.token_set_ratio(one, other, processor=utils.default_process))

    return levenshtein
