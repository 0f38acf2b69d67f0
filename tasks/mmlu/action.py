"""Reads the chosen letter out of a reply."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.authoring.answers import first_choice, normalize
from harness.types import Reply
from tasks.mmlu.rows import LETTERS

MAX_GENERATED = 200
"""Characters of a generated answer that are read; five tokens are shorter."""

_SAID = re.compile(
    r"\b(?:answer|choice|option|choose|pick|select)\b"
    r"(?:[ :=]|is|as|be|would|should|option|choice|letter|the|not)*"
    r"[(\[*\"' ]*([A-Da-d])(?![^\W_]|['\u2019])(?! [a-z]{3,} is\b)",
    re.IGNORECASE,
)
_ALONE = re.compile(r"(?<![^\W_])([A-D])(?![^\W_]|['\u2019])")
_ARTICLE = re.compile(r"(?<![^\W_])[Aa](?= (?!(?:or|and|is|because|since|as)\b)[a-z])")
_WHOLE = re.compile(r"\W*([A-Da-d])\W*")
_MARKED = re.compile(r"(?:^|(?<=\s))[(\[]?([A-Da-d])[)\]]|^\W*([A-Da-d])[.):,](?=\s|$)")
_TWO = re.compile(
    r"\W{1,4}(?:or|and|/|&|,)?\W{0,4}(?:[Oo]ption |[Cc]hoice )?[(\[]?([A-D])(?![^\W_]|['\u2019])"
)
_CORRECTED = re.compile(r"\b(?:no|wait|actually|sorry|correction)\b\W", re.IGNORECASE)
_NEGATED = re.compile(
    r"\bnot\W+(?:option )?\W*[A-D]\b[,;.]?|\b[A-D] is (?:wrong|incorrect|false)", re.IGNORECASE
)


def chosen(reply: Reply) -> str | None:
    """The letter of a reply, None when it named none."""
    if reply.choice is not None:
        return LETTERS[reply.choice] if 0 <= reply.choice < len(LETTERS) else None
    text = reply.text.strip()
    return text if text in LETTERS else None


def first_letter(reply: Reply) -> str | None:
    """The first letter A to D that is a word of its own in a generated answer."""
    return first_choice(reply.text[:MAX_GENERATED], LETTERS)


def read_letter(reply: Reply, options: Sequence[str] = ()) -> str | None:
    """The letter a careful reader finds in a generated answer: named, marked, alone, or by its option's text.

    Args:
        reply: the generated answer.
        options: the texts of the options, in the order of their letters.
    """
    text = reply.text[:MAX_GENERATED].replace("**", "").replace("__", "").replace("\\boxed", "")
    if len(parts := _CORRECTED.split(text)) > 1 and (found := _letter(parts[-1], options)):
        return found
    return _letter(_CORRECTED.split(text)[0] if len(parts) > 1 else text, options)


def _letter(text: str, options: Sequence[str]) -> str | None:
    if whole := _WHOLE.fullmatch(text):
        return whole[1].upper()
    said = [found for found in _SAID.finditer(text) if not _ARTICLE.match(text, found.start(1))]
    if said and not re.search(r"\bnot\b", said[-1][0]):
        return _unless_two(text, said[-1], 1) if _unless_two(text, said[0], 1) else None
    if marked := _MARKED.search(text):
        return _unless_two(text, marked, 1 if marked[1] else 2)
    if by_text := _option(text, options):
        return by_text
    plain = _ARTICLE.sub(" ", _NEGATED.sub(" ", text))
    letters = {found[1] for found in _ALONE.finditer(plain)}
    return letters.pop() if len(letters) == 1 else None


def _unless_two(text: str, found: re.Match[str], group: int) -> str | None:
    """A letter, unless another one is offered beside it."""
    second = _TWO.match(text, found.end(group))
    letter = found[group].upper()
    offered = second is not None and second[1] != letter and not _ARTICLE.match(text, second.start(1))
    return None if offered else letter


def _option(text: str, options: Sequence[str]) -> str | None:
    """The letter of the only option whose text is part of the answer."""
    said = f" {normalize(text)} "
    held = [
        (len(words), letter, words)
        for letter, option in zip(LETTERS, options, strict=False)
        if (words := normalize(option)) and f" {words} " in said
    ]
    if not held:
        return None
    _, letter, longest = max(held)
    return letter if all(words in longest for _, _, words in held) else None
