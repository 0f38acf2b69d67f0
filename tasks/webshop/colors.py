"""Colour words that options are reduced to before they are compared: upstream's, or a stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.data import literals
from harness.errors import DataError

FILE = "colors.json"
ADDRESS = "princeton-nlp/WebShop:web_agent_site/engine/normalize.py:COLOR_SET"

_COMMON = (
    "aqua beige black blue bronze brown burgundy charcoal copper coral cream cyan gold gray green grey "
    "indigo ivory khaki lavender lilac magenta maroon mint mustard navy olive orange peach pink plum "
    "purple red rose ruby rust salmon sand silver tan taupe teal turquoise violet white wine yellow"
)
STAND_IN = tuple(sorted(_COMMON.split()))
"""Common colours in the order of the alphabet, where upstream's list is not there."""


def load(data: Path) -> tuple[Sequence[str], bool]:
    """The colour words, and whether they are upstream's.

    Raises:
        DataError: the file holds no list of words.
    """
    if not (data / FILE).is_file():
        return STAND_IN, False
    words = literals(data / FILE).get(ADDRESS)
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise DataError(
            f"{data / FILE} holds no list of colours: harness data prepare webshop --from WEBSHOP"
        )
    return tuple(words), True
