"""Metrics for short answers: normalisation, exact match and token F1 as HotpotQA defined them; pure."""

from __future__ import annotations

import re
import string
from collections import Counter

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_CLOSED = frozenset({"yes", "no", "noanswer"})


def normalize(text: str) -> str:
    """Lower-case, delete ASCII punctuation, drop articles, squeeze whitespace; in this order."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: str) -> bool:
    """Whether both are the same after normalisation."""
    return normalize(answer) == normalize(gold)


def f1(answer: str, gold: str) -> float:
    """Token F1 in [0, 1]; yes/no answers score 0 or 1, and two empty answers score 0."""
    mine, true = normalize(answer), normalize(gold)
    if mine != true and (mine in _CLOSED or true in _CLOSED):
        return 0.0
    ours, theirs = mine.split(), true.split()
    same = sum((Counter(ours) & Counter(theirs)).values())
    if not same:
        return 0.0
    precision, recall = same / len(ours), same / len(theirs)
    return 2 * precision * recall / (precision + recall)
