"""Reads the page of an episode out of the browser: its tabs, its tree, and where its elements are."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tasks._shared.browser import PageLost, Pages
from tasks.webarena.observe import Compat, Filter, PageText, Sight, read_page

if TYPE_CHECKING:
    from playwright.async_api import Page

log = logging.getLogger(__name__)

VIEWPORT = (1280, 720)
BLANK = "about:blank"

MOST_NODES = 150_000
"""A page of more DOM nodes is not read: its tree would take gigabytes on its way here."""

MOST_TEXT = 8_000_000
"""Likewise of more characters."""

READ_S = 12.0
TITLE_S = 3.0

_SIZE = "() => document.documentElement ? document.documentElement.textContent.length : 0"


@dataclass(frozen=True, slots=True)
class Reading:
    """How pages are read, for all episodes of a run.

    Attributes:
        raw_ids: show the browser's own ids.
        gate: how many pages are read at the same time.
    """

    compat: Compat = "2023"
    kept: Filter = "paper"
    raw_ids: bool = False
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the browser shows.

    Attributes:
        text: the line of tabs, an empty line, and the page's tree.
        url: of the current page, as the browser has it.
        page: its elements, which an action may name.
    """

    text: str = ""
    url: str = BLANK
    page: PageText = field(default_factory=PageText)


class PageReader:
    """Reads the current one of an episode's pages, and remembers the ids it has shown."""

    def __init__(self, pages: Pages, reading: Reading) -> None:
        self._pages, self._reading = pages, reading
        self._ids: dict[tuple[int, str, str], str] = {}

    async def look(self) -> Seen:
        """Read the current page.

        Raises:
            EnvironmentFault: the browser is gone.
        """
        from playwright.async_api import Error

        await self._pages.calm()
        page = PageText()
        try:
            async with self._reading.gate:
                page = await self._read()
        except Error as error:
            log.debug("a page cannot be read: %s", error)
        except PageLost as error:
            log.debug("a page does not answer and is closed: %s", error)
            await self._pages.close(self._pages.current)
        return Seen(f"{await self._tabs()}\n\n{page.text}", self._pages.current.url, page)

    async def _read(self) -> PageText:
        call = self._pages.call
        session = await self._pages.session(self._pages.current)
        nodes = (await call(session.send("Memory.getDOMCounters")))["nodes"]
        if nodes > MOST_NODES or await call(self._pages.current.evaluate(_SIZE), limit_s=READ_S) > MOST_TEXT:
            log.warning("a page of %d nodes is too large to be read", nodes)
            return PageText()
        frames = await call(session.send("Page.getFrameTree"))
        document = (self._pages.number(self._pages.current), frames["frameTree"]["frame"]["loaderId"])
        snapshot = await call(
            session.send("DOMSnapshot.captureSnapshot", {"computedStyles": []}), limit_s=READ_S
        )
        tree: dict[str, Any] = await call(session.send("Accessibility.getFullAXTree"), limit_s=READ_S)
        sight = Sight(lambda node: self._shown(document, node), self._reading.compat, self._reading.kept)
        return read_page(tree["nodes"], snapshot, sight)

    def _shown(self, document: tuple[int, str], node: str) -> str:
        if self._reading.raw_ids:
            return node
        return self._ids.setdefault((*document, node), str(len(self._ids) + 1))

    async def _tabs(self) -> str:
        """The line of tabs: every page's title, the current one marked."""
        parts: list[str] = []
        for place, page in enumerate(self._pages.all):
            mark = " (current)" if page is self._pages.current else ""
            parts.append(f"Tab {place}{mark}: {await self._title(page)}")
        return " | ".join(parts)

    async def _title(self, page: Page) -> str:
        from playwright.async_api import Error

        try:
            return (await self._pages.call(page.title(), limit_s=TITLE_S))[:1000]
        except (Error, PageLost):
            return ""
