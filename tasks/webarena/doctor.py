"""Looks at every site before a run, all at the same time: is it there, and at the address it was given."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from urllib.parse import urlsplit

from harness.errors import HarnessError
from harness.needs import Need
from harness.types import TaskConfig
from tasks.webarena import config
from tasks.webarena.sites import origin

LOOK_S = 5.0
"""Longest look at one site."""

BODY_BYTES = 1 << 20
WORDS = {"shopping_admin": "password", "reddit": "Log in", "gitlab": "GitLab", "homepage": "password.html"}
"""What a visitor who has not logged in finds in the front page of the real site, where that is one word."""


def site_needs(cfg: TaskConfig) -> Sequence[Need]:
    """Need an address for every site, and each site that has one there."""
    del cfg
    try:
        real = tuple(sorted(config.load().sites.real.items()))
    except HarnessError:
        real = ()
    return (
        Need("the sites' addresses", _addresses, config.FIX),
        *(
            Need(f"site {site}", _looker(site, real), "start it: docker/webarena/README.md")
            for site, _ in real
        ),
    )


def _addresses() -> str | None:
    try:
        unknown = config.load().unknown
    except HarnessError as error:
        return f"cannot be read: {error}"
    return f"are missing for {', '.join(unknown)}" if unknown else None


def _looker(site: str, real: tuple[tuple[str, str], ...]) -> Callable[[], str | None]:
    return lambda: look_at_all(real, int(time.monotonic() // 30))[site]


@cache
def look_at_all(real: tuple[tuple[str, str], ...], moment: int) -> Mapping[str, str | None]:
    """What is wrong with each site, None for nothing; looked at once in half a minute.

    Args:
        real: the sites and their addresses.
        moment: changes when the sites are to be looked at again.
    """
    del moment
    with ThreadPoolExecutor(len(real)) as pool:
        return dict(zip((site for site, _ in real), pool.map(lambda one: look(*one), real), strict=True))


def look(site: str, url: str) -> str | None:
    """What is wrong with one site."""
    import requests

    try:
        with requests.get(url, timeout=LOOK_S, stream=True) as answer:
            if origin(answer.url) != origin(url):
                return f"at {url} sends its visitors to {urlsplit(answer.url).netloc}: set its base URL"
            if answer.status_code >= 400:
                return f"at {url} answers {answer.status_code}"
            text = next(answer.iter_content(BODY_BYTES), b"").decode("utf-8", "replace")
    except (requests.RequestException, ValueError) as error:
        return f"at {url} does not answer: {type(error).__name__}"
    word = WORDS.get(site, "")
    return None if word.lower() in text.lower() else f"at {url} is another site: its page lacks {word!r}"
