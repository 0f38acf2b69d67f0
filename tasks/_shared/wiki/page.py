"""The results of looking up a term in Wikipedia, and the protocol of its backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

LONGEST = 300
"""Characters of the longest query MediaWiki's search accepts."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was found.

    Attributes:
        text: plain text; sections are parted by blank lines.
        revid: the revision, 0 when the backend knows none.
        via: how the page was found: `exact`, `redirect`, `suggestion`, `search`, ...
    """

    title: str
    text: str
    url: str = ""
    revid: int = 0
    via: str = "exact"


@dataclass(frozen=True, slots=True)
class Miss:
    """No page, or a disambiguation page; up to ten similar titles."""

    similar: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The term cannot be looked up: too long, blank, not encodable, or refused by the wiki."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotRecorded:
    """The snapshot holds no answer for this term; the episode is flagged."""

    reason: str


Found = Page | Miss | Refused | NotRecorded


class Wiki(Protocol):
    """A source of pages, shared by all episodes of a run."""

    name: str
    """Backend as printed beside a score, such as `offline` or `replay`."""

    async def resolve(self, term: str) -> Found:
        """Find the page of a term.

        Raises:
            InfraError: the network or the wiki failed in every attempt.
        """
        ...

    def coverage(self) -> Mapping[str, str]:
        """The source of the answers (pages, snapshot hash, requests), for manifest and notes."""
        ...


def unaskable(term: str) -> Refused | None:
    """The reason why no wiki accepts the term; None when wikis do."""
    if not term.strip():
        return Refused("blank term")
    if len(term) > LONGEST:
        return Refused(f"term of {len(term)} characters, {LONGEST} allowed")
    try:
        term.encode("utf-8")
    except UnicodeEncodeError:
        return Refused("term is not valid Unicode")
    return None
