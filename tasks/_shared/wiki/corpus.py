"""An offline Wikipedia: titles and texts in an SQLite FTS5 index in memory."""

from __future__ import annotations

import hashlib
import html
import json
import re
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.errors import DataError
from tasks._shared.wiki.page import Found, Miss, Page, unaskable

SIMILAR = 10
WORDS = 32
"""Words of a query that are searched for; further ones are ignored."""

COMMON = 0.1
"""Words on a larger share of the pages are not searched for: they hardly change the ranking but cost time."""

_WORD = re.compile(r"\w+")


class Corpus:
    """Pages by exact title, redirect or case-folded title; a miss lists the ten best BM25 matches.

    Args:
        pages: (title, text) pairs; of equal titles the first counts.
        redirects: other name to the title of its page.
        lucky: give the best match instead of a miss.
    """

    name = "offline"

    def __init__(
        self,
        pages: Iterable[tuple[str, str]],
        redirects: Mapping[str, str] | None = None,
        *,
        lucky: bool = False,
    ) -> None:
        self._pages: dict[str, str] = {}
        for title, text in pages:
            self._pages.setdefault(title, text)
        self._other = _other_names(self._pages, redirects or {})
        self._lucky = lucky
        self._index = _index(self._pages)
        self._common = _common(self._index, max(20, int(COMMON * len(self._pages))))

    def __len__(self) -> int:
        return len(self._pages)

    async def resolve(self, term: str) -> Found:
        refused = unaskable(term)
        return refused or self.find(term)

    def find(self, term: str) -> Page | Miss:
        """Look up a term, without any network."""
        known = term.strip()
        if known in self._pages:
            return Page(known, self._pages[known])
        for name, via in ((known, "redirect"), (known.casefold(), "casefold")):
            if title := self._other.get(name):
                return Page(title, self._pages[title], via=via)
        similar = self.search(known)
        if self._lucky and similar:
            return Page(similar[0], self._pages[similar[0]], via="search")
        return Miss(similar)

    def search(self, text: str, limit: int = SIMILAR) -> tuple[str, ...]:
        """Titles by BM25, where words of the title have ten times the weight of the text's."""
        words = _WORD.findall(text)[:WORDS]
        words = [word for word in words if word.casefold() not in self._common] or words
        if not words:
            return ()
        query = " OR ".join(f'"{word}"' for word in words)
        rows = self._index.execute(
            "SELECT title FROM page WHERE page MATCH ? ORDER BY bm25(page, 10.0, 1.0), rowid LIMIT ?",
            (query, limit),
        )
        return tuple(row[0] for row in rows)

    def coverage(self) -> Mapping[str, str]:
        digest = hashlib.sha256()
        for title in sorted(self._pages):
            digest.update(f"{title}\x1e{self._pages[title]}\x1f".encode("utf-8", "surrogatepass"))
        return {"wiki_pages": str(len(self._pages)), "wiki_sha256": digest.hexdigest()}

    def close(self) -> None:
        """Free the index."""
        self._index.close()


def read_dump(path: Path) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Read a JSONL dump of `{"title", "text"}` and `{"title", "redirect"}` lines.

    Raises:
        DataError: a line has another shape; the message names it.
    """
    pages: list[tuple[str, str]] = []
    redirects: dict[str, str] = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
                if "redirect" in entry:
                    redirects[str(entry["title"])] = str(entry["redirect"])
                else:
                    pages.append((str(entry["title"]), str(entry["text"])))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f'{path}:{number} must be {{"title", "text"}} or {{"title", "redirect"}}'
                ) from error
    return pages, redirects


def _other_names(pages: Mapping[str, str], redirects: Mapping[str, str]) -> dict[str, str]:
    """Further names of pages: unescaped titles and redirects, then case-folded names not yet taken."""
    other: dict[str, str] = {}
    for title in pages:
        plain = html.unescape(title)
        if plain not in pages:
            other.setdefault(plain, title)
    for name, target in redirects.items():
        for _ in range(len(redirects)):
            if target in pages or target not in redirects:
                break
            target = redirects[target]
        if target in pages and name not in pages:
            other.setdefault(name, target)
    for name, title in [*((t, t) for t in pages), *list(other.items())]:
        other.setdefault(name.casefold(), title)
    return other


def _index(pages: Mapping[str, str]) -> sqlite3.Connection:
    index = sqlite3.connect(":memory:", check_same_thread=False)
    index.execute("CREATE VIRTUAL TABLE page USING fts5(title, text, tokenize='unicode61')")
    index.executemany("INSERT INTO page VALUES (?, ?)", pages.items())
    return index


def _common(index: sqlite3.Connection, pages: int) -> frozenset[str]:
    """Words that stand on more than `pages` pages."""
    index.execute("CREATE VIRTUAL TABLE word USING fts5vocab(page, row)")
    return frozenset(row[0] for row in index.execute("SELECT term FROM word WHERE doc > ?", (pages,)))
