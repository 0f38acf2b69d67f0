"""The seven sites: their names, their addresses here, and the addresses that the model is shown instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

SITES = ("shopping", "shopping_admin", "reddit", "gitlab", "wikipedia", "map", "homepage")

STATEFUL = ("shopping", "shopping_admin", "reddit", "gitlab")
"""Sites that a task can change; the others only answer questions."""

PRETTY = {
    "shopping": "http://onestopmarket.com",
    "shopping_admin": "http://luma.com/admin",
    "reddit": "http://reddit.com",
    "gitlab": "http://gitlab.com",
    "wikipedia": "http://wikipedia.org",
    "map": "http://openstreetmap.org",
    "homepage": "http://homepage.com",
}
"""What the model is shown in place of a site's address, as the released code maps them."""

# An address in running text ends where its host and path prefix end, not in the middle of a longer name.
_END = r"(?![A-Za-z0-9.:@-]*[A-Za-z0-9@-])"
_END_OF_PATH = r"(?![A-Za-z0-9_~%@-])"


def placeholder(site: str) -> str:
    """The placeholder of a site's address in the task file."""
    return f"__{site.upper()}__"


def origin(url: str) -> tuple[str, int] | None:
    """Host and port of an http or https URL; None for any other."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return parts.hostname.lower(), port or (443 if parts.scheme == "https" else 80)


@dataclass(frozen=True)
class SiteMap:
    """Where the sites are.

    Attributes:
        real: address of each site without a closing slash; sites that are not there are left out.
        extra: further origins that pages may load from (a map's tile server).
        legacy: replace addresses as the released code did, by plain substitution of text.
    """

    real: Mapping[str, str]
    extra: tuple[str, ...] = ()
    legacy: bool = False

    @cached_property
    def allowed(self) -> frozenset[tuple[str, int]]:
        """Host and port of everything that a page may load from."""
        found = (origin(url) for url in (*self.real.values(), *self.extra))
        return frozenset(place for place in found if place is not None)

    def permits(self, url: str) -> bool:
        """Whether an address may be gone to: http or https, and one of the sites."""
        place = origin(url)
        return place is not None and place in self.allowed and "@" not in urlsplit(url).netloc

    def filled(self, text: str) -> str:
        """The text of a task file with the sites' addresses in place of their placeholders."""
        for site in sorted(self.real, key=len, reverse=True):
            text = text.replace(placeholder(site), self.real[site])
        return text

    def shown(self, url: str) -> str:
        """A URL as the model sees it."""
        if self.legacy:
            return _replaced(url, ((real, PRETTY[site]) for site, real in self.real.items()))
        return self._to_pretty[0].sub(lambda found: self._to_pretty[1][found[0].lower()], url)

    def resolved(self, text: str) -> str:
        """A text in which the shown addresses are the real ones again."""
        if self.legacy:
            return _replaced(text, ((PRETTY[site], real) for site, real in self.real.items()))
        pattern, names = self._to_real
        return pattern.sub(lambda found: names[found[0].lower()], text)

    @cached_property
    def _to_pretty(self) -> tuple[re.Pattern[str], Mapping[str, str]]:
        return _pattern({real: PRETTY[site] for site, real in self.real.items()})

    @cached_property
    def _to_real(self) -> tuple[re.Pattern[str], Mapping[str, str]]:
        pairs = {PRETTY[site]: real for site, real in self.real.items()}
        secure = {pretty.replace("http://", "https://"): real for pretty, real in pairs.items()}
        return _pattern(pairs | secure)


def _pattern(pairs: Mapping[str, str]) -> tuple[re.Pattern[str], Mapping[str, str]]:
    """A pattern of all left sides, the longest first, and what each stands for."""
    names = {left.lower(): right for left, right in pairs.items()}
    longest = sorted(names, key=len, reverse=True)
    parts = [re.escape(name) + (_END_OF_PATH if urlsplit(name).path else _END) for name in longest]
    return re.compile("|".join(parts) or r"(?!)", re.IGNORECASE), names


def _replaced(text: str, pairs: Iterable[tuple[str, str]]) -> str:
    for left, right in pairs:
        text = text.replace(left, right)
    return text
