"""Logs a browser in to the sites, and tells whether a stored login still holds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.errors import EnvironmentFault
from tasks._shared.browser import BrowserPool, PageLost, Pages
from tasks.webarena.sites import SiteMap

if TYPE_CHECKING:
    from playwright.async_api import Page

FORM_S = 30.0


@dataclass(frozen=True, slots=True)
class Door:
    """Where a site lets its users in, and a page that only they see.

    Attributes:
        form: path of the form.
        user, password, button: how its parts are found, as `label=`, `hint=`, `test=` or `button=`.
        inside: path of the page; `{user}` is the user's name.
        word: what it shows; empty where its address alone tells.
    """

    form: str
    user: str
    password: str
    button: str
    inside: str
    word: str = ""


DOORS = {
    "shopping": Door(
        "/customer/account/login/", "label=Email", "label=Password", "button=Sign In", "/wishlist/"
    ),
    "shopping_admin": Door(
        "", "hint=user name", "hint=password", "button=Sign in", "/dashboard", "Dashboard"
    ),
    "reddit": Door(
        "/login", "label=Username", "label=Password", "button=Log in", "/user/{user}/account", "Delete"
    ),
    "gitlab": Door(
        "/users/sign_in", "test=username-field", "test=password-field", "test=sign-in-button", "/-/profile"
    ),
}


@dataclass(slots=True)
class Logins:
    """The stored logins of a run: made once for each site, and made anew when they no longer hold.

    Attributes:
        made: how often each site was logged in to.
        stored: the login of each site, as the browser keeps it.
    """

    pool: BrowserPool
    sites: SiteMap
    accounts: Mapping[str, Mapping[str, str]]
    headers: Mapping[str, str] = field(default_factory=dict)
    probe: bool = True
    made: dict[str, int] = field(default_factory=dict[str, int])
    stored: dict[str, Any] = field(default_factory=dict[str, Any])
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict[str, asyncio.Lock])

    async def state(self, sites: tuple[str, ...]) -> dict[str, Any] | None:
        """The stored login of several sites together, for a new context; None for none.

        Raises:
            EnvironmentFault: a site cannot be logged in to.
        """
        found = [await self._of(site) for site in sites]
        if not found:
            return None
        return {
            "cookies": [cookie for one in found for cookie in one["cookies"]],
            "origins": [origin for one in found for origin in one["origins"]],
        }

    async def _of(self, site: str) -> Any:
        async with self._locks.setdefault(site, asyncio.Lock()):
            kept = self.stored.get(site)
            if kept is not None and (not self.probe or await self.holds(site, kept)):
                return kept
            self.stored[site] = await self._enter(site)
            self.made[site] = self.made.get(site, 0) + 1
            return self.stored[site]

    async def holds(self, site: str, state: Any) -> bool:
        """Whether a stored login still opens the site's inner page."""
        tab = await self.pool.tab(storage_state=state, extra_http_headers=dict(self.headers))
        try:
            return await self._inside(site, Pages(tab))
        finally:
            await tab.close()

    async def _inside(self, site: str, pages: Pages) -> bool:
        from playwright.async_api import Error

        door, page = DOORS[site], pages.current
        wanted = self.sites.real[site] + door.inside.format(user=self.accounts[site]["username"])
        try:
            answer = await pages.call(page.goto(wanted, timeout=FORM_S * 1000), limit_s=2 * FORM_S)
            if answer is not None and answer.status >= 400:
                return False
            text = await pages.call(page.content()) if door.word else ""
        except (Error, PageLost):
            return False
        return door.word in text if door.word else page.url == wanted

    async def _enter(self, site: str) -> Any:
        from playwright.async_api import Error

        door, account = DOORS[site], self.accounts[site]
        tab = await self.pool.tab(extra_http_headers=dict(self.headers))
        pages = Pages(tab)
        try:
            page = pages.current
            await pages.call(
                page.goto(self.sites.real[site] + door.form, timeout=FORM_S * 1000), limit_s=2 * FORM_S
            )
            await pages.call(_part(page, door.user).fill(account["username"]))
            await pages.call(_part(page, door.password).fill(account["password"]))
            async with page.expect_navigation(timeout=FORM_S * 1000):
                await pages.call(_part(page, door.button).click())
            if not await self._inside(site, pages):
                raise EnvironmentFault(_refused(site, account, self.sites, "the site did not let it in"))
            return await pages.call(tab.context.storage_state())
        except (Error, PageLost) as error:
            raise EnvironmentFault(_refused(site, account, self.sites, str(error).splitlines()[0])) from error
        finally:
            await tab.close()


def _part(page: Page, how: str) -> Any:
    kind, _, name = how.partition("=")
    if kind == "label":
        return page.get_by_label(name, exact=True)
    if kind == "hint":
        return page.get_by_placeholder(name)
    if kind == "test":
        return page.get_by_test_id(name)
    return page.get_by_role("button", name=name)


def _refused(site: str, account: Mapping[str, str], sites: SiteMap, why: str) -> str:
    return (
        f"{site} at {sites.real[site]}: the account {account['username']} cannot log in ({why}); "
        "harness doctor webarena looks at every site"
    )
