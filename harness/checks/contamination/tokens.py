"""Cuts texts into the tokens whose runs are compared: words, cl100k, or a tokenizer's file."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, cast

from harness.errors import DataError, MissingPart

PIECE = 50_000
"""Characters that a tokenizer is given at a time: one word of megabytes would take it minutes."""

_WORD = re.compile(r"\w+")


class Tokens(Protocol):
    """A way to cut texts into tokens."""

    @property
    def about(self) -> str:
        """Say what counts as a token."""
        ...

    def cut(self, text: str) -> Sequence[Hashable]:
        """The tokens of a text, in order."""
        ...

    def excerpt(self, text: str, first: int, last: int) -> str:
        """The part of a text from its token `first` up to, without, its token `last`; both count from 0."""
        ...


class Words:
    """Runs of letters, digits and underscores in any case; punctuation and spaces do not count."""

    about = "words, without punctuation, in any case"

    def cut(self, text: str) -> Sequence[Hashable]:
        found = _WORD.findall(text)
        return "\n".join(found).casefold().split("\n") if found else []

    def excerpt(self, text: str, first: int, last: int) -> str:
        places = list(islice(_WORD.finditer(text), first, last))
        return text[places[0].start() : places[-1].end()] if places else ""


class Encoded:
    """The tokens of an encoding, which differ by case and by the space before them.

    Args:
        about: its name.
        encode: a text to the numbers of its tokens.
        decode: and back.
    """

    def __init__(
        self, about: str, encode: Callable[[str], list[int]], decode: Callable[[list[int]], str]
    ) -> None:
        self.about = about
        self._encode, self._decode = encode, decode

    def cut(self, text: str) -> Sequence[Hashable]:
        return self._cut(text)

    def excerpt(self, text: str, first: int, last: int) -> str:
        return self._decode(self._cut(text)[first:last])

    def _cut(self, text: str) -> list[int]:
        return list(chain.from_iterable(map(self._encode, _pieces(text))))


def _pieces(text: str) -> Iterator[str]:
    """A text in parts of bounded size, cut before a space where there is one."""
    start = 0
    while len(text) - start > PIECE:
        end = text.rfind(" ", start + 1, start + PIECE)
        end = end if end > start else start + PIECE
        yield text[start:end]
        start = end
    yield text[start:]


def find(name: str, mirror: str | None = None) -> Tokens:
    """Tokens by name: `words`, `cl100k`, or the path of a `tokenizer.json`.

    Args:
        name: which.
        mirror: where the vocabulary of cl100k is looked for first.

    Raises:
        MissingPart: the vocabulary, the file or the package that reads it is missing, with the fix.
        DataError: the file is no tokenizer.
    """
    if name == "words":
        return Words()
    if name == "cl100k":
        from harness.data import core_file
        from harness.tokens import CL100K_FILE, cl100k_encoding

        encoding = cl100k_encoding(core_file(CL100K_FILE, mirror))
        return Encoded("cl100k", encoding.encode_ordinary, encoding.decode)
    return _tokenizer(Path(name))


def _tokenizer(path: Path) -> Tokens:
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise MissingPart(f"--tokens {path}: write words, cl100k, or the path of a tokenizer.json")
    try:
        from tokenizers import Tokenizer  # pyright: ignore
    except ImportError as error:
        raise MissingPart(f"--tokens {path}: pip install tokenizers (the extra `local` has it)") from error
    try:
        found = cast(Any, Tokenizer).from_file(str(file))
    except Exception as error:  # its own errors are bare exceptions
        raise DataError(f"{file} is no tokenizer: {error}; give a tokenizer.json") from error
    return Encoded(
        str(file),
        lambda text: found.encode(text, add_special_tokens=False).ids,
        found.decode,
    )
