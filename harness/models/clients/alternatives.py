"""Reads which choice a server prefers: from its alternatives to a token, or from a text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from harness.models.untrusted import Token

FLOOR = -100.0
"""Stands for a choice that is not among the alternatives, as in Hendrycks' code."""

_ROUNDING = 1e-3
"""A log-probability above 0 by no more than this is one of 0; a larger one is no log-probability."""


def grammar(choices: Sequence[str]) -> dict[str, str]:
    """Allow the choices only; the leading space is demanded when all have one, else optional."""
    if all(len(choice.strip()) == 1 and choice.strip().isalnum() for choice in choices):
        body = "[" + "".join(choice.strip() for choice in choices) + "]"
    else:
        body = "(" + "|".join(re.escape(choice.strip()) for choice in choices) + ")"
    space = " " if all(choice.startswith(" ") for choice in choices) else " ?"
    return {"type": "regex", "value": space + body}


def logprob(token: Token) -> float | None:
    """Give a token's log-probability; None when the server sent none, or no log-probability."""
    sent = token.logprob
    return min(sent, 0.0) if sent is not None and math.isfinite(sent) and sent < _ROUNDING else None


def read_alternatives(tokens: Iterable[Token], choices: Sequence[str]) -> list[float] | None:
    """Find each choice among a token's alternatives; None when there are no alternatives at all.

    `A` and ` A` are one choice unless all choices begin with a space.
    """
    logprobs: dict[str, list[float]] = {}
    some = False
    spaced = all(choice.startswith(" ") for choice in choices)
    for token in tokens:
        some = True
        if (found := logprob(token)) is None:
            continue
        text = token.text.replace("\u2581", " ")
        logprobs.setdefault(text.strip(), []).append(found)
        if text.startswith(" "):
            logprobs.setdefault(text, []).append(found)
    if not some:
        return None
    scores: list[float] = []
    for choice in choices:
        # Some servers strip the space of a first token, so the text without it counts if it is alone.
        found = (logprobs.get(choice) if spaced else None) or logprobs.get(choice.strip())
        scores.append(max(FLOOR, _logsumexp(found)) if found else FLOOR)
    return scores


def first_choice(text: str, choices: Sequence[str]) -> int | None:
    """Find the choice that stands first in a text as a word of its own."""
    found: list[tuple[int, int]] = []
    for index, choice in enumerate(choices):
        if match := re.search(rf"(?<!\w){re.escape(choice.strip())}(?!\w)", text):
            found.append((match.start(), index))
    return min(found)[1] if found else None


def _logsumexp(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))
