"""Counts the tokens of a prompt, each benchmark in its own way."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError, MissingPart, UsageError

if TYPE_CHECKING:
    from tiktoken import Encoding

Counter = Callable[[str], int]

CL100K_FILE = "cl100k_base.tiktoken"
"""The vocabulary's name among the core data items; several tasks count with it."""

CL100K_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"

# How cl100k_base cuts text into pieces before merging (tiktoken, MIT): part of the encoding, like its ranks.
CL100K_PIECES = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|"""
    r"""\s*[\r\n]|\s+(?!\S)|\s"""
)

LONG = 400_000
"""Characters from which `cl100k` estimates: one word of this length takes minutes, and is over any limit."""

COUNTED = 1 << 16
"""How many texts' segments are remembered, in about 16 MB; then all are forgotten."""

_TAIL = 512
"""Tokens at the end of a part of a text that could be others in the whole text."""

_counted: dict[tuple[int, int], int] = {}
_SEGMENT = re.compile(r"[^\W\d_]{1,7}|[^ \n]")


def counter(name: str, vocabulary: Path | None = None) -> Counter:
    """Find a counter by name.

    Args:
        name: `cl100k` (tiktoken's encoding of GPT-3.5 and GPT-4), `segments` (AgentBench's own count) or
            `estimate` (a third of the characters, never too few for English text).
        vocabulary: the file of `cl100k`; the others need none.

    Raises:
        UsageError: unknown name.
        MissingPart: the vocabulary is not there, or none was given; the message says how to get it.
        DataError: the file is not the vocabulary.
    """
    if name == "cl100k":
        if vocabulary is None:
            raise MissingPart(f"the counter cl100k was given no vocabulary: pass the path of {CL100K_FILE}")
        return _cl100k(vocabulary)
    if name == "segments":
        return segments
    if name == "estimate":
        return estimate
    raise UsageError(f"unknown token counter {name!r}: choose cl100k, segments or estimate")


def estimate(text: str) -> int:
    """Take a third of the characters, rounded up."""
    return -(-len(text) // 3)


def segments(text: str) -> int:
    """Count as AgentBench's client does: letters in runs cut every 7, every other visible character one.

    Spaces and newlines are free; a tab is not.
    """
    # A window counts every message again at every turn; a string keeps its hash, so this costs no more
    # for a long one.
    key = (hash(text), len(text))
    if (known := _counted.get(key)) is not None:
        return known
    if len(_counted) >= COUNTED:
        _counted.clear()
    count = _counted[key] = _segments(text)
    return count


def remembered() -> int:
    """How many texts' segments are remembered now, `COUNTED` at most."""
    return len(_counted)


def _segments(text: str) -> int:
    if not text.isascii():
        # Numerals such as `Ⅷ` or `²` are no letters, but the pattern takes them for some.
        numerals = [c for c in set(text) if c.isalnum() and not (c.isalpha() or c.isdecimal())]
        if numerals:
            text = text.translate(dict.fromkeys(map(ord, numerals), "!"))
    return sum(1 for _ in _SEGMENT.finditer(text))


@cache
def _cl100k(vocabulary: Path) -> Counter:
    encoding = cl100k_encoding(vocabulary)

    def count(text: str) -> int:
        """Count tokens; control tokens in the text count as ordinary text."""
        return estimate(text) if len(text) > LONG else len(encoding.encode_ordinary(text))

    return count


@cache
def cl100k_encoding(vocabulary: Path) -> Encoding:
    """Load tiktoken's encoding from a file on disk; tiktoken itself would ask the network."""
    import base64
    import hashlib

    import tiktoken

    try:
        content = vocabulary.read_bytes()
    except OSError as error:
        raise MissingPart(
            f"the cl100k vocabulary is not at {vocabulary}: `harness data pull core`, or set HARNESS_MIRROR"
        ) from error
    if hashlib.sha256(content).hexdigest() != CL100K_SHA256:
        raise DataError(f"{vocabulary} is not the cl100k vocabulary: `harness data pull core` fetches it")
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, content.splitlines())}
    return tiktoken.Encoding(
        "cl100k_base", pat_str=CL100K_PIECES, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 100257}
    )


def cl100k_head(text: str, most: int, vocabulary: Path) -> str:
    """Cut a text to its first tokens of cl100k, as decoding them gives it back.

    A character of several bytes that the cut divides becomes U+FFFD. Texts of which more characters than
    `LONG` would have to be read are cut by `estimate` instead.

    Args:
        text: what to cut; control tokens in it count as ordinary text.
        most: tokens to keep.
        vocabulary: the encoding's file.

    Raises:
        MissingPart: the vocabulary is not there; the message says how to get it.
        DataError: the file is not the vocabulary.
    """
    encoding = cl100k_encoding(vocabulary)
    size = 16 * most
    while True:
        # A cut changes no token but the last ones of the part before it.
        part = text[:size]
        tokens = encoding.encode_ordinary(part)
        if len(part) == len(text) and len(tokens) <= most:
            return text
        if len(tokens) > most + _TAIL or len(part) == len(text):
            return encoding.decode(tokens[:most])
        if size >= LONG:
            return text[: 3 * most]
        size *= 4
