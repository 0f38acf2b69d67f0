"""Reads which choice a server prefers: from its alternatives to a token, or from a text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from harness.models.untrusted import Token

FLOOR = -100.0
"""Stands for a choice that is not among the alternatives, as in Hendrycks' code."""

_SPACES = ("\u2581", "\u0120")
"""How the vocabularies of SentencePiece and of byte-level BPE write a token's leading space."""

_ROUNDING = 1e-3
"""A log-probability above 0 by no more than this is one of 0; a larger one is no log-probability."""


def is_spaced(choices: Sequence[str]) -> bool:
    """Whether the space before a choice is part of it; otherwise `A` and ` A` are one choice."""
    return all(choice.startswith(" ") for choice in choices)


def forms(choice: str, *, spaced: bool) -> tuple[str, ...]:
    """The texts that stand for a choice."""
    return (choice,) if spaced else (choice.strip(), f" {choice.strip()}")


def grammar(choices: Sequence[str]) -> dict[str, str]:
    """Allow the choices only; the leading space is demanded when all have one, else optional."""
    space = " " if is_spaced(choices) else " ?"
    return {"type": "regex", "value": space + _body(choices)}


def halves(choices: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Two grammars that allow together what `grammar` allows with an optional space: without and with it."""
    body = _body(choices)
    return {"type": "regex", "value": body}, {"type": "regex", "value": f" {body}"}


def _body(choices: Sequence[str]) -> str:
    bare = [choice.strip() for choice in choices]
    if all(len(choice) == 1 and choice.isalnum() for choice in bare):
        return "[" + "".join(bare) + "]"
    return "(" + "|".join(map(re.escape, bare)) + ")"


def logprob(token: Token) -> float | None:
    """Give a token's log-probability; None when the server sent none, or no log-probability."""
    sent = token.logprob
    return min(sent, 0.0) if sent is not None and math.isfinite(sent) and sent < _ROUNDING else None


def spelling(token: Token) -> str:
    """A token's text, its leading space written as one."""
    text = token.text
    return f" {text[1:]}" if text.startswith(_SPACES) else text


def has_values(tokens: Iterable[Token]) -> bool:
    """Whether there are alternatives at all, with log-probabilities."""
    return any(logprob(token) is not None for token in tokens)


def read_alternatives(tokens: Iterable[Token], choices: Sequence[str]) -> list[float | None] | None:
    """Find each choice among a token's alternatives; None for one that is not there, and when none is."""
    logprobs: dict[str, list[float]] = {}
    for token in tokens:
        if (found := logprob(token)) is None:
            continue
        text = spelling(token)
        logprobs.setdefault(text.strip(" "), []).append(found)  # "\nA" is another token
        if text.startswith(" "):
            logprobs.setdefault(text, []).append(found)
    spaced = is_spaced(choices)
    # Some servers strip the space of a first token: where no text has one, those without it count.
    stripped = not spaced or not any(text.startswith(" ") for text in logprobs)
    scores: list[float | None] = []
    for choice in choices:
        values = logprobs.get(choice.strip() if stripped else choice)
        scores.append(max(FLOOR, logsumexp(values)) if values else None)
    return scores if any(score is not None for score in scores) else None


def unlisted(tokens: Sequence[Token], choices: Sequence[str], tolerance: float) -> list[tuple[str, ...]]:
    """For each choice its texts that a list lacks, where they may move its log-probability by `tolerance`.

    What is not among the likeliest tokens is at most as likely as the last of these.
    """
    listed = {spelling(token): found for token in tokens if (found := logprob(token)) is not None}
    least, spaced = min(listed.values(), default=0.0), is_spaced(choices)
    scores = read_alternatives(tokens, choices) or [None for _ in choices]
    lacking: list[tuple[str, ...]] = []
    for choice, score in zip(choices, scores, strict=True):
        small = score is not None and (spaced or math.exp(least - score) < tolerance)
        texts = () if small else forms(choice, spaced=spaced)
        lacking.append(tuple(text for text in texts if text not in listed))
    return lacking


def mass(tokens: Iterable[Token]) -> float:
    """How much of the probability a list of alternatives holds, from 0 to 1."""
    return sum(math.exp(found) for token in tokens if (found := logprob(token)) is not None)


def join_halves(both: Sequence[Token], parts: Sequence[Sequence[Token]]) -> list[Token]:
    """Put the alternatives under two grammars on the scale of those under both together.

    Each part holds all tokens of its grammar, with probabilities that add up to 1 there; each part's share
    follows from one token that `both` has as well, and the shares add up to 1. A server that does not
    renormalise gives values that are on one scale already.
    """
    if any(mass(part) < 0.9 for part in parts):
        return [token for part in parts for token in part]
    seen = {spelling(token): found for token in both if (found := logprob(token)) is not None}
    shares = [_share(seen, part) for part in parts]
    for index, share in enumerate(shares):
        other = shares[1 - index]
        if share is None and other is not None:
            shares[index] = 1.0 - other
    joined: list[Token] = []
    for share, part in zip(shares, parts, strict=True):
        if share is not None and share > 0.0:
            scale = math.log(share)
            joined += [
                Token(token.id, token.text, found + scale)
                for token in part
                if (found := logprob(token)) is not None
            ]
    return joined


def _share(seen: dict[str, float], part: Sequence[Token]) -> float | None:
    """A part's share of the probability, by its likeliest token that was seen beside the others."""
    known = [
        (found, seen[text])
        for token in part
        if (found := logprob(token)) is not None and (text := spelling(token)) in seen
    ]
    if not known:
        return None
    alone, beside = max(known)
    return min(1.0, math.exp(beside - alone))


def first_choice(text: str, choices: Sequence[str]) -> int | None:
    """Find the choice that stands first in a text as a word of its own."""
    found: list[tuple[int, int]] = []
    for index, choice in enumerate(choices):
        if match := re.search(rf"(?<!\w){re.escape(choice.strip())}(?!\w)", text):
            found.append((match.start(), index))
    return min(found)[1] if found else None


def logsumexp(values: Sequence[float]) -> float:
    """The logarithm of a sum of exponentials."""
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))
