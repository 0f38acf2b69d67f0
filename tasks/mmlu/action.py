"""Reads the chosen letter out of a reply."""

from __future__ import annotations

from harness.authoring.answers import first_choice
from harness.types import Reply
from tasks.mmlu.rows import LETTERS

MAX_GENERATED = 200
"""Characters of a generated answer that are read; five tokens are shorter."""


def chosen(reply: Reply) -> str | None:
    """The letter of a reply, None when it named none."""
    if reply.choice is not None:
        return LETTERS[reply.choice] if 0 <= reply.choice < len(LETTERS) else None
    text = reply.text.strip()
    return text if text in LETTERS else None


def first_letter(reply: Reply) -> str | None:
    """The first letter A to D that stands alone in a generated answer."""
    return first_choice(reply.text[:MAX_GENERATED], LETTERS)
