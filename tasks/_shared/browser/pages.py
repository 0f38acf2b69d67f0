"""Several pages in one tab of a pool: which is current, whether any loads, and a CDP session on each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from harness.errors import EnvironmentFault
from tasks._shared.browser.tab import PageLost, Tab

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Dialog, Page, Request

T = TypeVar("T")

MOST = 8
"""Pages that may be open at once; further ones are closed as they come."""

FLOOD = 8
"""Pages beyond the limit, between two calls of `calm`, for which the page that opens them is closed too."""


@dataclass(eq=False, slots=True)
class _Watched:
    """What is known of one page.

    Attributes:
        number: counts the pages of the tab in order of their opening; never used twice.
        lost: it crashed.
    """

    number: int
    lost: bool = False
    session: CDPSession | None = None


class Pages:
    """The pages of a tab. Dialogs are dismissed, too many pages are closed, a dead page is replaced.

    Args:
        tab: just opened, from a pool whose settings say `many_pages`.
        most: pages that may be open at once.

    Attributes:
        dialogs: how many were dismissed.
        turned_away: pages that were closed because there were too many.
        crashes: pages that crashed.
    """

    def __init__(self, tab: Tab, most: int = MOST) -> None:
        self.tab = tab
        self.dialogs = self.turned_away = self.crashes = 0
        self._most, self._flood = most, 0
        self._watched: dict[Page, _Watched] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._documents: set[Request] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._watch(tab.page)
        self.current = tab.page
        tab.context.on("page", self._opened)
        tab.context.on("request", self._asked)
        tab.context.on("requestfinished", self._ended)
        tab.context.on("requestfailed", self._ended)

    @property
    def all(self) -> list[Page]:
        """The open pages in order of their opening."""
        return [page for page in self._watched if not page.is_closed()]

    def number(self, page: Page) -> int:
        """A page's number in order of opening; those of closed pages are not given again."""
        return self._watched[page].number

    async def call(self, work: Awaitable[T], *, limit_s: float | None = None) -> T:
        """Await one browser call.

        Raises:
            PageLost: the page does not answer, crashed or was closed.
            EnvironmentFault: the browser is gone, or a signal from outside ended the process of a page.
        """
        try:
            return await self.tab.call(work, limit_s=limit_s, hang="fail")
        except PageLost:
            await self._refuse_kills()
            raise

    async def session(self, page: Page) -> CDPSession:
        """The page's CDP session, opened at its first use."""
        watched = self._watched[page]
        if watched.session is None:
            watched.session = await self.call(self.tab.context.new_cdp_session(page))
            await self.call(watched.session.send("Accessibility.enable"))
        return watched.session

    async def new(self) -> Page:
        """Open a blank page and make it the current one."""
        self.current = await self.call(self.tab.context.new_page())
        self._watch(self.current)
        return self.current

    async def focus(self, page: Page) -> None:
        """Make a page the current one."""
        await self.call(page.bring_to_front())
        self.current = page

    async def close(self, page: Page) -> None:
        """Close a page; when it is the current one the last of the others is, or a new blank one."""
        await self._close(page)
        if page is self.current:
            await self._take_another()

    async def calm(self) -> None:
        """Start a new step: nothing counts as loading, and a current page that is gone is left.

        Raises:
            EnvironmentFault: as `call`.
        """
        await self._refuse_kills()
        self._flood = 0
        self._documents.clear()
        self._quiet.set()
        if self._closing:
            await asyncio.wait(self._closing, timeout=self.tab.owner.settings.call_s)
        watched = self._watched.get(self.current)
        if watched is None or watched.lost or self.current.is_closed():
            await self.close(self.current)

    @property
    def loading(self) -> bool:
        """Whether a page waits for a document, be it one that is about to open."""
        return bool(self._documents)

    async def loaded(self, limit_s: float) -> bool:
        """Wait until nothing is loading; False when that took too long."""
        try:
            async with asyncio.timeout(limit_s):
                await self._quiet.wait()
        except TimeoutError:
            return False
        return True

    async def _refuse_kills(self) -> None:
        """Tell a page that was lost to a signal from outside from one that crashed by what it was told."""
        if any(watched.lost for watched in self._watched.values()) and await self.tab.killed():
            raise EnvironmentFault("a signal from outside ended the process of a page")

    async def _take_another(self) -> None:
        rest = self.all
        if rest:
            await self.focus(rest[-1])
        else:
            await self.new()

    async def _close(self, page: Page) -> None:
        with contextlib.suppress(Exception):  # a page that cannot be closed goes with its context
            async with asyncio.timeout(self.tab.owner.settings.call_s):
                await page.close(run_before_unload=False)
        self._watched.pop(page, None)

    def _opened(self, page: Page) -> None:
        if page in self._watched:
            return
        if len(self.all) < self._most:
            self._watch(page)
            return
        self.turned_away += 1
        self._flood += 1
        self._close_soon(page)
        if self._flood == FLOOD:
            # Each page costs a tenth of a second, and the loop that opens them does not wait for any answer.
            self._close_soon(self.current)

    def _close_soon(self, page: Page) -> None:
        task = asyncio.create_task(self._close(page))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _watch(self, page: Page) -> None:
        if page in self._watched:
            return
        watched = _Watched(self._numbers)
        self._numbers += 1
        self._watched[page] = watched

        page.on("dialog", self._dismiss)
        page.on("crash", lambda _: self._lose(watched))

    def _lose(self, watched: _Watched) -> None:
        watched.lost = True
        self.crashes += 1
        self.tab.interrupt()

    def _asked(self, request: Request) -> None:
        if _is_document(request):
            self._documents.add(request)
            self._quiet.clear()

    def _ended(self, request: Request) -> None:
        self._documents.discard(request)
        if not self._documents:
            self._quiet.set()

    async def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs += 1
        with contextlib.suppress(Exception):
            # A page that asks whether it may be left is left, it could hold the browser for ever.
            await (dialog.accept() if dialog.type == "beforeunload" else dialog.dismiss())


def _is_document(request: Request) -> bool:
    if not request.is_navigation_request():
        return False
    try:
        return request.frame.parent_frame is None
    except Exception:  # Playwright's way to say that the page is about to open
        return True
