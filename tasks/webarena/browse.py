"""The browser of one episode: carries out actions, and waits until the page rests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks._shared.browser import PageLost, Pages, Tab
from tasks.webarena.action import ArenaAction
from tasks.webarena.reader import BLANK, Seen
from tasks.webarena.sites import SiteMap

if TYPE_CHECKING:
    from playwright.async_api import Page

log = logging.getLogger(__name__)


MOST_KEYS = 4000
"""Characters that one action types."""

CALL_S = 15.0
"""Longest an ordinary call to a page may take; one that takes longer is the page's own affair."""

GRACE_S = 3.0
"""How much longer than it was told a page may take to say that it rests."""

# Resolves when the document has been complete and unchanged for `quiet` ms, or after `cap` ms.
_REST = """([quiet, cap]) => new Promise(done => {
  let timer;
  const end = () => { observer.disconnect(); clearTimeout(timer); clearTimeout(last); done(); };
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => document.readyState === 'complete' ? end() : wait(), quiet);
  };
  const observer = new MutationObserver(wait);
  observer.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
  const last = setTimeout(end, cap);
  wait();
})"""
_SCROLL = """sign => {
  const box = document.scrollingElement || document.body;
  box.scrollTop += sign * window.innerHeight;
}"""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait after an action.

    Attributes:
        fixed_s: wait exactly so long, as the released code does; None waits until the page rests.
        quiet_s: a page rests when nothing changed for so long.
        cap_s: longest wait for rest.
        document_s: longest wait for a document that is on its way.
    """

    fixed_s: float | None = None
    quiet_s: float = 0.5
    cap_s: float = 2.5
    document_s: float = 30.0


class ArenaBrowser:
    """Drives the pages of one tab.

    Args:
        tab: just opened, from a pool whose settings say `many_pages`.
    """

    def __init__(self, tab: Tab, sites: SiteMap, pace: Pace) -> None:
        self.pages = Pages(tab)
        self._sites, self._pace = sites, pace
        self.seconds_waited = 0.0

    @property
    def page(self) -> Page:
        """The current page."""
        return self.pages.current

    def permits(self, url: str) -> bool:
        """Whether an address may be gone to."""
        return url == BLANK or self._sites.permits(url)

    async def start(self, urls: Sequence[str]) -> bool:
        """Open the start pages, each in a tab of its own; the first is the current one.

        Returns:
            Whether all of them could be loaded.
        """
        good, first = True, self.page
        for place, url in enumerate(urls):
            if place:
                await self.pages.new()
            good = await self.goto(url) and good
        if len(urls) > 1:
            await self.pages.focus(first)
        await self.settle()
        return good

    async def act(self, action: ArenaAction, seen: Seen) -> bool:
        """Carry out an action; False when it failed. A page that does not answer is closed.

        Raises:
            EnvironmentFault: the browser is gone.
        """
        from playwright.async_api import Error

        before = self.page
        try:
            await self.pages.calm()
            if action.element and self.page is not before:
                return False  # the element was on a page that is gone, and another page stands in its place
            return await self._act(action, seen)
        except Error as error:
            log.debug("%s failed: %s", action.verb, error)
        except PageLost as error:
            log.debug("%s ended the page: %s", action.verb, error)
            await self.pages.close(self.page)  # each further call would wait as long without an answer
        return False

    async def _act(self, action: ArenaAction, seen: Seen) -> bool:
        verb, call = action.verb, self.pages.call
        if verb in ("click", "hover", "type"):
            return await self._point(action, seen)
        if verb == "press":
            await call(self.page.keyboard.press(action.text))
        elif verb == "scroll":
            await call(self.page.evaluate(_SCROLL, 1 if action.text == "down" else -1))
        elif verb == "goto":
            return await self.goto(action.text)
        elif verb == "new_tab":
            await self.pages.new()
        elif verb == "close_tab":
            await self.pages.close(self.page)
        elif verb == "tab_focus":
            return await self._focus(action.text)
        elif verb in ("go_back", "go_forward"):
            limit = self._pace.document_s
            step = self.page.go_back if verb == "go_back" else self.page.go_forward
            await call(step(timeout=limit * 1000), limit_s=limit + CALL_S)
        else:
            return False
        return True

    async def _point(self, action: ArenaAction, seen: Seen) -> bool:
        element = seen.page.elements.get(action.element)
        if element is None or element.box is None:
            return False
        x, y, width, height = element.box
        left, top = seen.page.scroll
        at = (x + width / 2 - left, y + height / 2 - top)
        mouse, call = self.page.mouse, self.pages.call
        if action.verb == "hover":
            await call(mouse.move(*at))
            return True
        await call(mouse.click(*at))
        if action.verb == "type":
            typed = action.text[:MOST_KEYS]
            if action.text.endswith("\n") and not typed.endswith("\n"):
                typed += "\n"
            await call(self.page.keyboard.type("".join(c for c in typed if c == "\n" or c.isprintable())))
        return True

    async def _focus(self, number: str) -> bool:
        pages, index = self.pages.all, int(number[:9])
        if index >= len(pages):
            return False
        await self.pages.focus(pages[index])
        return True

    async def goto(self, url: str) -> bool:
        """Load an address of one of the sites in the current page; any other is refused."""
        from playwright.async_api import Error

        if not self.permits(url):
            return False
        limit = self._pace.document_s
        for last in (False, True):
            try:
                await self.pages.call(self.page.goto(url, timeout=limit * 1000), limit_s=limit + CALL_S)
                return True
            except Error as error:
                # After a failed load the error page may still be on its way and end this one.
                if last or "interrupted by another navigation" not in error.message:
                    return False
            except PageLost:
                await self.pages.close(self.page)
                return False
        return False

    async def settle(self) -> None:
        """Wait until the page rests, or as long as the released code waits."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        pace = self._pace
        if pace.fixed_s is not None:
            await asyncio.sleep(pace.fixed_s)
        else:
            await self._rest(began + pace.cap_s)
        self.seconds_waited += loop.time() - began

    async def _rest(self, end: float) -> None:
        from playwright.async_api import Error

        loop, pace = asyncio.get_running_loop(), self._pace
        while True:
            if self.pages.loading:
                if not await self.pages.loaded(pace.document_s):
                    return
                end = max(end, loop.time() + pace.quiet_s)
            left = max(end - loop.time(), 0.0)
            times = [min(pace.quiet_s, left) * 1000, left * 1000]
            try:
                # The page's own clock may stand still; it is not asked for much longer than it has.
                await self.pages.call(self.page.evaluate(_REST, times), limit_s=left + GRACE_S)
            except (Error, PageLost):  # the document was replaced, or runs a loop
                if loop.time() >= end:
                    return
            if not self.pages.loading:
                return
