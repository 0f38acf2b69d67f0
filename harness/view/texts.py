"""Bounds the texts of a page, and keeps those of private tasks off it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.storage import plain
from harness.storage.private import OVERFLOW, digest

LETTERS = 2
"""A private text of so few characters is a choice's letter, which may be shown."""
SHORT = 200
"""Characters kept of each text once a page is full."""
PAGE_CHARACTERS = 2_000_000
"""Most characters of texts in one answer; what is left out is fetched by its place."""

ENTRIES, NAME = 60, 100
"""Entries of a log that are shown, and characters of a name."""

_ODD = re.compile("[\ud800-\udfff\u2028\u2029]")
_HASHED = "sha256:"


def json_bytes(value: Any) -> bytes:
    r"""A value as JSON that any parser reads and that a script may hold as it is.

    Lone surrogates, which UTF-8 cannot encode, and the line ends that end a line of a script are escaped.
    """
    text = plain.encode(value).decode("utf-8", "surrogatepass")
    if not text.isascii():
        text = _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text.encode()


def hidden(text: str) -> str:
    """A private text as it may be shown: a letter, or a hash and a length."""
    return text if len(text) <= LETTERS or text.startswith(_HASHED) else digest(text)


def remark(text: str) -> str:
    """A private task's note as it may be shown: the task's own text, without anything a server sent."""
    return hidden(text) if text.startswith(OVERFLOW) else text


def in_a_line(info: Mapping[str, Any], first: Sequence[str], limit: int) -> str:
    """A log as one line, `action click[buy] · valid true`.

    Args:
        info: the log.
        first: names of the entries that are told (`TaskSpec.view`); where it has none of them, all are.
        limit: characters of the line.
    """
    names = [name for name in first if name in info] or list(info)[:ENTRIES]
    told = (f"{str(name)[:NAME]} {_told(info[name])[:limit]}" for name in names)
    return " · ".join(told)[:limit]


class Room:
    """Cuts the texts of one page so that all together stay within a bound.

    Args:
        private: show hashes in place of texts.

    Attributes:
        whole: the texts that were cut; their place is their index.
    """

    def __init__(self, *, private: bool = False) -> None:
        self.private = private
        self.whole: list[str] = []
        self._left = PAGE_CHARACTERS

    def cut(self, text: str, limit: int) -> dict[str, Any]:
        """Take at most `limit` characters.

        Returns:
            `text` and, when it was cut, `total` (characters of the whole) and `place` (its index in `whole`).
        """
        text = hidden(text) if self.private else text
        kept = text[: limit if self._left > 0 else min(limit, SHORT)]
        self._left -= len(kept)
        if len(kept) == len(text):
            return {"text": kept}
        self.whole.append(text)
        return {"text": kept, "total": len(text), "place": len(self.whole) - 1}

    def log(self, info: Mapping[str, Any], first: Sequence[str], limit: int) -> dict[str, Any] | None:
        """An environment's log: its entries by name, texts as they are and the rest as JSON.

        Args:
            info: the log.
            first: names of the entries that are shown at once (`TaskSpec.view`); without any, all are.
            limit: characters of an entry.

        Returns:
            `shown` and `folded`, [name, text] for each entry; None when the log is empty.
        """
        if not info:
            return None
        if self.private:  # a name of an entry may be a text of the data
            info = {"private": info.get("private") or plain.encode(info).decode("utf-8", "replace")}
        names = list(info)[:ENTRIES]
        shown = [name for name in first if name in info] or names

        def told(wanted: Iterable[str]) -> list[list[Any]]:
            return [[str(name)[:NAME], self.cut(_told(info[name]), limit)] for name in wanted]

        return {"shown": told(shown), "folded": told(n for n in names if n not in shown)}


def _told(value: Any) -> str:
    return value if isinstance(value, str) else plain.encode(value).decode("utf-8", "surrogatepass")
