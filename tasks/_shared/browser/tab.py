"""The settings of a pool's browsers, and the tab of one episode."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from harness.errors import EnvironmentFault

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

T = TypeVar("T")

# The driver's messages when page, context, browser or its own pipe is gone.
_GONE = re.compile(
    r"has been closed|connection closed|browser closed|not connected|disconnected|pipe closed", re.I
)


class PageLost(Exception):
    """A page does not answer, crashed or was closed, while its browser works: the machine did not fail."""


class PageCrashed(EnvironmentFault):
    """The process that shows a page ended, while its browser runs."""


class NoAnswer(EnvironmentFault):
    """A call took longer than its limit; `Tab.stuck` tells whether the page alone is the reason."""


@dataclass(frozen=True, slots=True)
class BrowserSettings:
    """The settings of all contexts of a pool.

    Attributes:
        allow: prefixes of the URLs a page may load; every other request is refused, and names or
            addresses that no prefix mentions do not resolve.
        contexts: live contexts per browser process.
        episodes: contexts a browser serves before it is replaced, as browsers leak memory.
        call_s: longest a single browser call may take, in seconds.
        flags: further command-line switches.
        proxy: address of the proxy that carries all traffic, loopback's as well; empty for none.
        many_pages: pages open further pages (`Pages` watches them); a page that crashes is then that page's
            affair and not the end of its tab.
        folder: of the browsers' profiles and other temporary files, removed with the pool; a folder below the
            task's work folder is also removed after this process was killed. None takes the system's.
    """

    allow: tuple[str, ...] = ()
    locale: str = "en-US"
    timezone: str = "UTC"
    viewport: tuple[int, int] = (800, 600)
    contexts: int = 16
    episodes: int = 300
    call_s: float = 10.0
    flags: tuple[str, ...] = ()
    proxy: str = ""
    many_pages: bool = False
    folder: Path | None = None


@dataclass(eq=False, slots=True)
class Slot:
    """A browser process and its contexts.

    Attributes:
        killed: pages, by the browser's id, whose process a signal from outside ended.
    """

    browser: Browser
    marker: str
    live: int = 0
    served: int = 0
    down: bool = False
    killed: set[str] = field(default_factory=set[str])

    def open(self, settings: BrowserSettings) -> bool:
        return not self.down and self.live < settings.contexts and self.served < settings.episodes


class Owner(Protocol):
    """The owner of a tab: its pool."""

    settings: BrowserSettings

    async def give_back(self, tab: Tab) -> None:
        """Close the tab's context, even when the caller is cancelled."""
        ...


@dataclass(eq=False, slots=True)
class Tab:
    """One episode's own context with its first page.

    Attributes:
        refused: URLs that were asked for and refused, newest last (at most 100 are kept).
    """

    context: BrowserContext
    page: Page
    owner: Owner
    slot: Slot
    refused: list[str] = field(default_factory=list[str])
    crashed: bool = False
    _closed: bool = False
    _clocks: set[asyncio.Timeout] = field(default_factory=set[asyncio.Timeout])

    async def call(
        self, work: Awaitable[T], *, limit_s: float | None = None, hang: Literal["fault", "fail"] = "fault"
    ) -> T:
        """Await one browser call within the pool's limit.

        Args:
            work: the call.
            limit_s: another limit than the pool's.
            hang: `fail` tells a page that does not answer, or is gone, from a browser that does not.

        Raises:
            EnvironmentFault: page, browser or driver is gone or does not answer.
            PageLost: under `fail`, the page alone is gone or does not answer.
            playwright.async_api.Error: any other error of the call.
        """
        try:
            return await self._call(work, limit_s)
        except EnvironmentFault as error:
            if hang == "fail" and await self.answers():
                raise PageLost(str(error)) from error
            raise

    async def _call(self, work: Awaitable[T], limit_s: float | None) -> T:
        from playwright.async_api import Error

        limit = limit_s or self.owner.settings.call_s
        clock = asyncio.timeout(0 if self.crashed else limit)
        self._clocks.add(clock)
        try:
            async with clock:
                return await work
        except TimeoutError as error:
            if not clock.expired():
                raise
            if self.crashed:
                raise PageCrashed("the page crashed") from error
            raise NoAnswer(f"the browser did not answer within {limit:g} s") from error
        except Error as error:
            # The call's own error may come before the news that the page crashed.
            if not self.slot.down and (self.crashed or "crashed" in error.message):
                raise PageCrashed(f"the page crashed: {error.message.splitlines()[0]}") from error
            if self.slot.down or _GONE.search(error.message):
                raise EnvironmentFault(f"the browser is gone: {error.message.splitlines()[0]}") from error
            raise
        finally:
            self._clocks.discard(clock)

    async def stuck(self) -> bool:
        """Whether the page does not answer within twice the usual limit, while its browser does.

        The reason is then what the page was told to do, and not the machine.
        """
        from playwright.async_api import Error

        limit = self.owner.settings.call_s
        try:
            async with asyncio.timeout(2 * limit):
                await self.page.evaluate("0")
            return False
        except Error:
            return False
        except TimeoutError:
            return await self.answers()

    async def answers(self) -> bool:
        """Whether the browser opens another page and that page answers."""
        from playwright.async_api import Error

        if self.slot.down or self.crashed or not self.slot.browser.is_connected():
            return False
        try:
            async with asyncio.timeout(self.owner.settings.call_s):
                other = await self.slot.browser.new_context()
                await (await other.new_page()).evaluate("0")
                await other.close()
        except (Error, TimeoutError):
            return False
        return not self.crashed

    async def killed(self) -> bool:
        """Whether one of the tab's pages lost its process to a signal from outside: nothing that a page did.

        A browser that no longer says so is gone itself, which no page did either.
        """
        from playwright.async_api import Error

        try:
            async with asyncio.timeout(self.owner.settings.call_s):
                for page in self.context.pages:
                    wire = await self.context.new_cdp_session(page)
                    shown = await wire.send("Target.getTargetInfo")  # answered after what was told before
                    if shown["targetInfo"]["targetId"] in self.slot.killed:
                        return True
        except (Error, TimeoutError):
            return True
        return False

    def crash(self) -> None:
        """End the calls to a page that crashed; the driver never ends them."""
        self.crashed = True
        self.interrupt()

    def interrupt(self) -> None:
        """Let the calls that wait now run out of time."""
        for clock in self._clocks:
            if not clock.expired():
                clock.reschedule(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Close the context, and the browser with its last context when it is to be replaced. Idempotent."""
        if self._closed:
            return
        self._closed = True
        await self.owner.give_back(self)
