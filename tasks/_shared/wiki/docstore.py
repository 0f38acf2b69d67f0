"""The page that an agent has open: what Search shows, and what each Lookup shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tasks._shared.wiki.page import Found, Miss, NotRecorded, Page, Wiki

RETRY = "Could not find that page, please try again."
NO_PAGE = (
    "The last page Searched was not found, so you cannot Lookup a keyword in it. "
    "Please try one of the similar pages given."
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)")


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of a page one observation shows.

    Attributes:
        search: the whole lead (upstream), or its first paragraph (what the prompt says).
        lookup: whole sections (upstream), or sentences (what the prompt says).
        keep_index: on another page, a repeated keyword continues its count (upstream) or starts again.
    """

    search: Literal["lead", "paragraph"] = "lead"
    lookup: Literal["section", "sentence"] = "section"
    keep_index: bool = True


class Docstore:
    """State of one episode: the open page and the last keyword looked up in it."""

    def __init__(self, wiki: Wiki, reading: Reading | None = None) -> None:
        self._wiki = wiki
        self._reading = reading or Reading()
        self._chunks: list[str] | None = None
        self._keyword = ""
        self._at = 0
        self.last: Found | None = None

    async def search(self, term: str) -> str:
        """Open the page of a term and return its summary, newlines kept.

        A miss closes the open page; a refused term leaves it open, as upstream's exception did.

        Raises:
            InfraError: the wiki could not be asked.
        """
        found = self.last = await self._wiki.resolve(term)
        if isinstance(found, Page):
            self._chunks = found.text.split("\n\n")
            if not self._reading.keep_index:
                self._keyword, self._at = "", 0
            return self._summary(self._chunks[0])
        if isinstance(found, Miss):
            self._chunks = None
            return not_found(term, found)
        return RETRY

    def lookup(self, term: str) -> str:
        """Return the next part of the open page that holds the keyword."""
        if self._chunks is None:
            return NO_PAGE
        keyword = term.lower()
        if keyword != self._keyword:
            self._keyword, self._at = keyword, 0
        else:
            self._at += 1
        hits = [part for part in self._parts(self._chunks) if keyword in part.lower()]
        if not hits:
            return "No Results"
        if self._at >= len(hits):
            return "No More Results"
        return f"(Result {self._at + 1}/{len(hits)}) {hits[self._at]}"

    @property
    def missed_snapshot(self) -> bool:
        """Whether the last search found no recorded answer."""
        return isinstance(self.last, NotRecorded)

    def _summary(self, lead: str) -> str:
        return lead if self._reading.search == "lead" else lead.strip("\n").split("\n", 1)[0]

    def _parts(self, chunks: list[str]) -> list[str]:
        if self._reading.lookup == "section":
            return chunks
        lines = (line for chunk in chunks for line in chunk.split("\n"))
        return [part for line in lines for part in _SENTENCE.split(line.strip()) if part]


def not_found(term: str, miss: Miss) -> str:
    """The text of a miss: a Python list of titles, as upstream prints it."""
    return f"Could not find [{term}]. Similar: {list(miss.similar)!r}"
