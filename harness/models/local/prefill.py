"""Which of the prompts that are not read yet are read in one step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.models.local.sequence import Sequence as Running
from harness.models.local.slot_cache import Piece

CHUNK = 256
"""Tokens of one prompt that are computed between two tokens of the others."""
_CHUNKS = 512
"""Tokens, padding included, of short prompts that are computed together."""


def chunk(rows: Sequence[Running], row: int) -> Piece:
    """The part of a row's prompt that is read next."""
    one = rows[row]
    return Piece(row, one.read, one.prompt.ids[one.read : one.read + CHUNK])


def prompts(rows: Sequence[Running]) -> Iterable[list[int]]:
    """Rows whose prompts are read in this step: short ones together, and the one that waits longest.

    Args:
        rows: as they are while this is iterated; those that end leave them.
    """
    reading = [row for row, one in enumerate(rows) if one.reading]
    if not reading:
        return
    size = {row: len(chunk(rows, row).ids) for row in reading}
    together: list[int] = []
    for row in sorted(reading, key=lambda row: (size[row], row)):
        if together and (len(together) + 1) * size[row] > _CHUNKS:
            break
        together.append(row)
    first = min((rows[row] for row in reading), key=lambda one: one.number)
    alone = rows.index(first) not in together
    yield sorted(together)
    if alone:  # its row may be another one by now, where a shorter one ended
        yield [rows.index(first)]
