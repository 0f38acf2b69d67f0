"""The SearchSOTU tool: the best chunk of one speech for a query, by BM25 instead of embeddings."""

from __future__ import annotations

import re
import sqlite3

from harness.types import Chat
from tasks.rewoo.tools.base import Evidence

CHUNK = 1000
SEPARATORS = ("\n\n", "\n", " ", "")
WORDS = 32

_WORD = re.compile(r"\w+")


class Speech:
    """Indexed once per run; upstream builds its index for every query."""

    fallback = "BM25 document search"

    def __init__(self, text: str) -> None:
        self._chunks = split(text)
        self._index = sqlite3.connect(":memory:", check_same_thread=False)
        self._index.execute("CREATE VIRTUAL TABLE chunk USING fts5(text, tokenize='porter unicode61')")
        self._index.executemany("INSERT INTO chunk VALUES (?)", [(chunk,) for chunk in self._chunks])

    async def use(self, key: str, text: str, chat: Chat | None) -> Evidence:
        del key, chat
        return Evidence(self.best(text), self.fallback)

    def best(self, query: str) -> str:
        """The best chunk; the first one when no word matches, as a search by vectors always finds one."""
        words = _WORD.findall(query)[:WORDS]
        row = None
        if words:
            row = self._index.execute(
                "SELECT text FROM chunk WHERE chunk MATCH ? ORDER BY bm25(chunk), rowid LIMIT 1",
                (" OR ".join(f'"{word}"' for word in words),),
            ).fetchone()
        return str(row[0]) if row else self._chunks[0]

    def close(self) -> None:
        """Free the index."""
        self._index.close()


def split(text: str, separators: tuple[str, ...] = SEPARATORS) -> list[str]:
    """Cut a text into chunks of at most `CHUNK` characters, at the coarsest separator that does it.

    A separator stays at the front of the piece after it and counts there, as in upstream's splitter; chunks
    are stripped at the end.
    """
    at = next(n for n, separator in enumerate(separators) if separator in text)
    chunks: list[str] = []
    small: list[str] = []
    for piece in _pieces(text, separators[at]):
        if len(piece) < CHUNK:
            small.append(piece)
            continue
        chunks += [*_merge(small), *split(piece, separators[at + 1 :])]
        small = []
    return chunks + _merge(small)


def _pieces(text: str, separator: str) -> list[str]:
    if not separator:
        return list(text)
    first, *others = text.split(separator)
    return [piece for piece in (first, *(separator + other for other in others)) if piece]


def _merge(pieces: list[str]) -> list[str]:
    """Join neighbouring pieces up to the size of a chunk."""
    chunks: list[str] = []
    held = ""
    for piece in pieces:
        if held and len(held) + len(piece) > CHUNK:
            chunks.append(held.strip())
            held = ""
        held += piece
    chunks.append(held.strip())
    return [chunk for chunk in chunks if chunk]
