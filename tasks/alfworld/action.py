"""Reads the action in a reply, and chooses the admissible command that is executed for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

MARK = "ACTION:"
LIMIT = 0.01
"""A command is executed in the action's place when its BLEU score is above this."""

ORDERS = (1, 2, 3, 4)
SMOOTHING = 5
"""The constant k of NLTK's smoothing method 4."""


def marked(text: str) -> str | None:
    """The rest of the line after the first `ACTION:`; None without one.

    Upstream first looks for one that a newline ends, then for any; the first in the text is both.
    """
    _, found, rest = text.partition(MARK)
    return rest.split("\n", 1)[0] if found else None


def parse(text: str) -> str:
    """The action of a reply: its marked line, or all of it; stripped, lower-case, first line."""
    line = marked(text)
    return (text if line is None else line).strip().lower().split("\n", 1)[0]


@dataclass(frozen=True, slots=True)
class Choice:
    """What is executed, and the BLEU score by which it was chosen (None when none was computed)."""

    command: str
    bleu: float | None = None


def exact(action: str, commands: Sequence[str]) -> Choice:
    """Execute the action as it is."""
    del commands
    return Choice(action)


def nearest(action: str, commands: Sequence[str]) -> Choice:
    """Execute the admissible command most like the action by BLEU, the first of equals.

    An action that is admissible, or like none of the commands, is executed as it is.
    """
    if not commands or action in commands:
        return Choice(action)
    tokens = action.split()
    if _hopeless(len(tokens), max(len(command.split()) for command in commands)):
        return Choice(action, 0.0)
    said = counted(tokens)
    scores = [bleu(command.split(), said) for command in commands]
    best = max(range(len(scores)), key=scores.__getitem__)  # the first of equals, as numpy's argmax
    return Choice(commands[best] if scores[best] > LIMIT else action, scores[best])


def _hopeless(candidate: int, reference: int) -> bool:
    """Whether a candidate is too long to reach LIMIT against references of so many tokens.

    Every precision is at most max(R, ln(L) / 10) / (L - 3), so their geometric mean is too. It spares
    counting the n-grams of a reply of megabytes.
    """
    return candidate > 100 and max(reference, math.log(candidate) / 10) / (candidate - 3) < LIMIT


@dataclass(frozen=True, slots=True)
class CountedAction:
    """A candidate's tokens, and how often it has each n-gram of each order."""

    length: int
    grams: tuple[Counter[tuple[str, ...]], ...]


def counted(candidate: Sequence[str]) -> CountedAction:
    """Count the n-grams of a candidate, which is compared with many references."""
    return CountedAction(len(candidate), tuple(Counter(_grams(candidate, n)) for n in ORDERS))


def bleu(reference: Sequence[str], said: CountedAction) -> float:
    """BLEU of one candidate against one reference, orders 1 to 4, smoothed by NLTK's method 4.

    The closed form of Papineni et al. (2002) with the smoothing of Chen and Cherry (2014): an order without a
    match gets a small precision that halves with every further such order; a single token leaves it out.
    """
    length = said.length
    matches = [_matches(reference, grams, n) for n, grams in zip(ORDERS, said.grams, strict=True)]
    if not matches[0]:
        return 0.0
    total, increment = 0.0, 1
    for n, match in zip(ORDERS, matches, strict=True):
        count = max(1, length - n + 1)
        if match:
            total += 0.25 * math.log(match / count)
        elif length > 1:
            total += 0.25 * math.log(math.log(length) / (SMOOTHING * 2**increment) / count)
            increment += 1
    brevity = 1.0 if length > len(reference) else math.exp(1 - len(reference) / length)
    return brevity * math.exp(total)


def _matches(reference: Sequence[str], said: Counter[tuple[str, ...]], n: int) -> int:
    """Count the candidate's n-grams that the reference has, none more often than there."""
    return sum(min(count, said[gram]) for gram, count in Counter(_grams(reference, n)).items())


def _grams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(tokens[i:] for i in range(n)), strict=False))
