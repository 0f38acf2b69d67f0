"""What asking Wikipedia for a term can give, and what every backend must do."""

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
        via: how the term led here: `exact`, `redirect`, `suggestion`, `search`, ...
    """

    title: str
    text: str
    url: str = ""
    revid: int = 0
    via: str = "exact"


@dataclass(frozen=True, slots=True)
class Miss:
    """No page (or a disambiguation page): up to ten titles that look alike."""

    similar: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The term itself cannot be asked for: too long, blank, not encodable, or refused by the wiki."""

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
        """Find the page a term stands for.

        Raises:
            InfraError: the network or the wiki failed for good; never becomes text.
        """
        ...

    def coverage(self) -> Mapping[str, str]:
        """What is behind the answers (pages, snapshot hash, requests), for manifest and notes."""
        ...


def unaskable(term: str) -> Refused | None:
    """Tell why no wiki would take the term, or None when it would."""
    if not term.strip():
        return Refused("blank term")
    if len(term) > LONGEST:
        return Refused(f"term of {len(term)} characters, {LONGEST} allowed")
    try:
        term.encode("utf-8")
    except UnicodeEncodeError:
        return Refused("term is not valid Unicode")
    return None
