"""Cuts text into search terms the way Lucene's English analyser does, from its tokenizer to its stemmer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import regex

LONGEST = 255
"""Characters of a token; Lucene cuts a longer one into pieces of this length."""

_STOP = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then there "
    "these they this to was will with"
)
STOP_WORDS = frozenset(_STOP.split())
"""Lucene's English stop words."""

_TRAIL = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]*+"
# Unicode no longer calls the colon a letter's neighbour; the version in Lucene 9 does, so that
# "description:solid" is one token.
_MID_LETTER = r"[\p{WB=MidLetter}\p{WB=MidNumLet}\p{WB=Single_Quote}:]"
_MID_NUMBER = r"[\p{WB=MidNum}\p{WB=MidNumLet}\p{WB=Single_Quote}]"
_OLD_PICTOGRAPHS = "\u2600-\u2605\u2607-\u2612\u2614-\u2685\u2690-\u2705\u2708-\u2712\u2763-\u2767"
"""Symbols that Unicode 12, the version in Lucene 9, counted as pictographs."""

_SPACE = re.compile(r"[ \t\n\r\f\v]+")
_PART = r"(?:[a-z](?:(?:[:.']|_*+)[a-z])*+|[0-9](?:(?:[,;.']|_*+)[0-9])*+)"
_ASCII = re.compile(rf"(_*+{_PART}(?:_*+{_PART})*+_*+)|_+")
"""The same rules where a text has only ASCII characters, in lower case; the standard library is faster."""


def _pattern() -> str:
    """The word rules of UAX #29 as one pattern; possessive quantifiers keep it linear."""
    letter = rf"[\p{{WB=ALetter}}\p{{WB=Hebrew_Letter}}]{_TRAIL}"
    number = rf"\p{{WB=Numeric}}{_TRAIL}"
    join = rf"(?:\p{{WB=ExtendNumLet}}{_TRAIL})"
    kana = rf"\p{{WB=Katakana}}{_TRAIL}"
    letters = rf"{letter}(?:(?:{_MID_LETTER}{_TRAIL}|{join}*+){letter})*+"
    numbers = rf"{number}(?:(?:{_MID_NUMBER}{_TRAIL}|{join}*+){number})*+"
    part = rf"(?:{letters}|{numbers}|{kana})"
    word = rf"{join}*+{part}(?:{join}*+{part})*+{join}*+"
    pictograph = rf"[\p{{Extended_Pictographic}}\p{{Emoji_Presentation}}{_OLD_PICTOGRAPHS}]"
    joined = rf"{pictograph}[\ufe0f\p{{EMod}}]*+(?:\u200d{pictograph}[\ufe0f\p{{EMod}}]*+)*+"
    flag = r"\p{Regional_Indicator}{2}"
    complex_script = rf"(?:\p{{LB=SA}}{_TRAIL})++"
    single = rf"[\p{{Script=Han}}\p{{Script=Hiragana}}]{_TRAIL}"
    # Joiners without a word are no token; passed over here, they are looked at once.
    return f"({'|'.join((word, flag, joined, complex_script, single))})|{join}++"


@cache
def _words() -> regex.Pattern[str]:
    import regex

    return regex.compile(_pattern())


@cache
def _stemmer() -> Any:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer(mode=PorterStemmer.MARTIN_EXTENSIONS)


def _term(word: str) -> str | None:
    """A token's term; None for a stop word."""
    if word[-2:] in ("'s", "’s", "＇s"):  # noqa: RUF001  (the possessives Lucene knows)
        word = word[:-2]
    if not word or word in STOP_WORDS:
        return None
    return word if len(word) <= 2 else _stemmer().stem(word, to_lowercase=False)


@lru_cache(maxsize=1 << 16)
def _chunk(chunk: str) -> tuple[str, ...]:
    """The terms of a text without spaces."""
    words = _ASCII if chunk.isascii() else _words()
    tokens = (found[1] for found in words.finditer(chunk) if found[1])
    pieces = (token[at : at + LONGEST] for token in tokens for at in range(0, len(token), LONGEST))
    return tuple(term for piece in pieces if (term := _term(piece)) is not None)


def terms(text: str) -> Iterator[str]:
    """Yield the terms of a text in their order, repeated ones as often as they occur."""
    for chunk in _SPACE.split(text.lower()):
        # No word goes across a space, and the same few chunks make up most texts.
        yield from _chunk(chunk) if len(chunk) <= LONGEST else _chunk.__wrapped__(chunk)
