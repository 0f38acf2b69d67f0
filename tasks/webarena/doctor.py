"""Looks at every site before a run, all together: is it there, is it the right one, does it let us in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.errors import HarnessError
from harness.needs import Need
from harness.types import TaskConfig
from tasks.webarena import config
from tasks.webarena.form_login import refused
from tasks.webarena.login import DOORS
from tasks.webarena.prompts import WebArenaPrompts
from tasks.webarena.sites import origin

if TYPE_CHECKING:
    import aiohttp

LOOK_S = 5.0
"""Longest look at one site, and longest login to it."""

BODY_BYTES = 1 << 20
WORDS = {"shopping_admin": "password", "reddit": "Log in", "gitlab": "GitLab", "homepage": "password.html"}
"""What a visitor who has not logged in finds in the front page of the real site, where that is one word."""

WIKI_OF_2023 = "/wikipedia_en_all_maxi_2022-05/A/User:The_other_Kiwix_guy/Landing"
"""A page that the wiki of 2023 has, and later ones have not."""

Accounts = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True, slots=True)
class Deployed:
    """What is looked at.

    Attributes:
        real: the sites and their addresses.
        accounts: fields of the account of each site; none where the data are not there yet.
    """

    real: tuple[tuple[str, str], ...]
    edition: str = "other"
    accounts: Accounts = ()


def site_needs(cfg: TaskConfig) -> Sequence[Need]:
    """Need an address for every site, and each site that has one there."""
    try:
        found = config.load()
    except HarnessError:
        deployed = Deployed(())
    else:
        deployed = Deployed(tuple(sorted(found.sites.real.items())), found.edition, _accounts(cfg))
    return (
        Need("the sites' addresses", _addresses, config.FIX),
        *(
            Need(f"site {site}", _looker(site, deployed), "docker/webarena/README.md says how to start it")
            for site, _ in deployed.real
        ),
    )


def _accounts(cfg: TaskConfig) -> Accounts:
    try:
        known = WebArenaPrompts(cfg.data).accounts
    except (HarnessError, OSError):
        return ()  # that the file is missing is told beside this
    return tuple((site, tuple(known[site].items())) for site in DOORS if site in known)


def _addresses() -> str | None:
    try:
        unknown = config.load().unknown
    except HarnessError as error:
        return f"cannot be read: {error}"
    return f"are missing for {', '.join(unknown)}" if unknown else None


def _looker(site: str, deployed: Deployed) -> Callable[[], str | None]:
    return lambda: look_at_all(deployed, int(time.monotonic() // 30))[site]


@cache
def look_at_all(deployed: Deployed, moment: int) -> Mapping[str, str | None]:
    """What is wrong with each site, None for nothing; looked at once in half a minute.

    Args:
        deployed: the sites.
        moment: changes when the sites are to be looked at again.
    """
    del moment
    with ThreadPoolExecutor(1) as pool:  # the caller's thread may run a loop of its own
        return pool.submit(asyncio.run, _look_at_all(deployed)).result()


async def _look_at_all(deployed: Deployed) -> Mapping[str, str | None]:
    accounts = {site: dict(account) for site, account in deployed.accounts}
    looks = [look(site, url, deployed.edition, accounts.get(site)) for site, url in deployed.real]
    found = await asyncio.gather(*looks)
    return dict(zip((site for site, _ in deployed.real), found, strict=True))


async def look(
    site: str, url: str, edition: str = "other", account: Mapping[str, str] | None = None
) -> str | None:
    """What is wrong with one site."""
    import aiohttp

    # Sites may be told apart by their ports alone, and cookies are not: a jar for each.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        try:
            async with asyncio.timeout(LOOK_S):
                wrong = await _front(session, site, url)
                if wrong is None and site == "wikipedia" and edition == "2023":
                    wrong = await _wiki(session, url)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return f"at {url} does not answer within {LOOK_S:g} s ({type(error).__name__})"
        if wrong or account is None:
            return wrong
        try:
            async with asyncio.timeout(LOOK_S):
                why = await refused(session, site, url, account)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            why = f"does not answer its login within {LOOK_S:g} s ({type(error).__name__})"
    return f"at {url} is logged out: for the account {account['username']} it {why}" if why else None


async def _front(session: aiohttp.ClientSession, site: str, url: str) -> str | None:
    async with session.get(url) as answer:
        if origin(str(answer.url)) != origin(url):
            return f"at {url} sends its visitors to {urlsplit(str(answer.url)).netloc}: set its base URL"
        if answer.status >= 400:
            return f"at {url} answers {answer.status}"
        word, text = WORDS.get(site, "").lower(), ""
        while word not in text and len(text) < BODY_BYTES and (more := await answer.content.read(1 << 16)):
            text += more.decode("utf-8", "replace").lower()
    return None if word in text else f"at {url} is another site: its page lacks {WORDS[site]!r}"


async def _wiki(session: aiohttp.ClientSession, url: str) -> str | None:
    parts = urlsplit(url)
    async with session.get(f"{parts.scheme}://{parts.netloc}{WIKI_OF_2023}") as answer:
        if answer.status < 400:
            return None
    return f'at {url} is another edition than that of 2023: write edition = "slim" into {config.FILE}'
