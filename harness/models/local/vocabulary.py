"""A tokenizer as the local server needs it: ids of a text with byte offsets, and texts of ids."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

_CONTEXT = 5
"""Tokens before a generated text that are decoded with it: some tokenizers drop a text's first space."""
_BROKEN = "\ufffd"


class Vocabulary:
    """The tokens of a model.

    Args:
        tokenizer: a fast tokenizer of transformers; its own truncation and padding are switched off.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._backend: Any = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self.special = frozenset(int(one) for one in tokenizer.all_special_ids)
        self.size = int(self._backend.get_vocab_size(with_added_tokens=True))
        self._alone: dict[int, str] = {}

    def encode(self, text: str) -> list[int]:
        """Ids of a prompt with the special tokens that the tokenizer adds."""
        return list(self._backend.encode(text).ids)

    def rows(self, text: str) -> list[dict[str, Any]]:
        """Tokens of a prompt as `/tokenize` lists them: id, text, and the bytes `start` to `stop` of it."""
        found = self._backend.encode(text)
        data, at = text.encode(), list[int]([0])
        for character in text:
            at.append(at[-1] + len(character.encode()))
        listed: list[dict[str, Any]] = []
        offsets: list[tuple[int, int]] = found.offsets
        for token, (first, last) in zip(found.ids, offsets, strict=True):
            start, stop = at[first], at[last]
            piece = data[start:stop].decode(errors="replace")
            listed.append({"id": token, "text": piece, "start": start, "stop": stop})
        return listed

    def least_tokens(self, text: str) -> int:
        """A lower bound of a text's tokens that costs no tokenizing, for texts far too long."""
        return len(text) // max(map(len, self.pieces))

    def text(self, prompt: Sequence[int], written: Sequence[int]) -> str:
        """What generated tokens add to a prompt, without special tokens."""
        before = list(prompt[-_CONTEXT:])
        return self.decode([*before, *written], skip=True)[len(self.decode(before, skip=True)) :]

    @cached_property
    def pieces(self) -> list[str]:
        """The text of each token inside a longer one; bytes that are no whole character read U+FFFD."""
        before = self._backend.encode("a", add_special_tokens=False).ids[-1:]
        skip = len(self.decode(before))
        ids = [[*before, token] for token in range(self.size)]
        texts: list[str] = self._backend.decode_batch(ids, skip_special_tokens=False)
        return [text[skip:] for text in texts]

    def decode(self, ids: Sequence[int], *, skip: bool = False) -> str:
        """The text of ids as the tokenizer writes it; `skip` leaves special tokens out."""
        return str(self._backend.decode(list(ids), skip_special_tokens=skip))

    def alone(self, token: int) -> str:
        """The text of one token by itself."""
        known = self._alone.get(token)
        if known is None:
            known = self._alone[token] = self.decode([token])
        return known


class Writing:
    """The text of one answer, token by token.

    A token that ends inside a character adds nothing; the token that completes it adds the character.
    """

    def __init__(self, vocabulary: Vocabulary, prompt: Sequence[int]) -> None:
        self._vocabulary = vocabulary
        self._ids = list(prompt[-_CONTEXT:])
        """Tokens that were told last, and after them those that are not told yet."""
        self._told = len(self._ids)
        self._before = len(vocabulary.decode(self._ids))

    def add(self, token: int) -> str:
        """The text that one more token adds."""
        self._ids.append(token)
        text, before = self._vocabulary.decode(self._ids), self._before
        if len(text) <= before or text.endswith(_BROKEN):
            return ""
        self._ids = self._ids[self._told :]
        self._told = len(self._ids)
        one = self._told == 1
        self._before = len(self._vocabulary.alone(token) if one else self._vocabulary.decode(self._ids))
        return text[before:]
