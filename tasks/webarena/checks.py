"""Looks at the live pages at the end of an episode, as a task's `program_html` asks."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import EnvironmentFault
from tasks._shared.browser import PageLost
from tasks.webarena.browse import ArenaBrowser
from tasks.webarena.helpers import Helpers
from tasks.webarena.rows import HtmlCheck
from tasks.webarena.score import Edition, found

_DOCUMENT = {"v2023": ("document.",), "v2024": ("document.", "[...document.")}
MOST_CHARS = 20_000_000


@dataclass(frozen=True, slots=True)
class PageChecks:
    """Carries out the checks of one task in order; each starts from the page where the last one ended."""

    browser: ArenaBrowser
    helpers: Helpers
    edition: Edition

    async def holds(self, check: HtmlCheck) -> bool:
        """Whether a check finds what it looks for.

        Raises:
            EnvironmentFault: a page of a site cannot be loaded, or a helper's site does not answer.
        """
        url = check.url
        if url.startswith("func:"):
            url = await self.helpers.run(url, self.browser.pages)
        if url != "last" and not await self._go(url):
            return False
        return found(check, await self._selected(check), self.edition)

    async def _go(self, url: str) -> bool:
        """Load a page; False where the address, which the model's last page may have given, is no site's."""
        if not self.browser.permits(url):
            return False
        if not await self.browser.goto(url) and not await self.browser.goto(url):
            raise EnvironmentFault(f"{url} cannot be loaded to look at the result")
        await self.browser.settle()
        return True

    async def _selected(self, check: HtmlCheck) -> str:
        locator = check.locator
        if locator.startswith("func:"):
            return await self.helpers.run(locator, self.browser.pages)
        if not locator.strip():
            return await self._content()
        if not locator.startswith(_DOCUMENT[self.edition]):
            return ""
        for script in check.prepare:
            await self._evaluated(script)
        value = await self._evaluated(locator)
        # The text of "nothing" is empty in 2023 and Python's word for it in 2024.
        return str(value or "") if self.edition == "v2023" else str(value)

    async def _evaluated(self, script: str) -> object:
        """The value of the data's own JavaScript in the page; empty where it fails."""
        from playwright.async_api import Error

        page, pages = self.browser.page, self.browser.pages
        try:
            return await pages.call(page.evaluate(f"() => {script}"))
        except (Error, PageLost):
            return ""

    async def _content(self) -> str:
        from playwright.async_api import Error

        page, pages = self.browser.page, self.browser.pages
        for _ in range(2):  # the page may be replaced while it is read
            try:
                return (await pages.call(page.content()))[:MOST_CHARS]
            except (Error, PageLost):
                await self.browser.settle()
        return ""
