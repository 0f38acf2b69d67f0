"""A pool of headless browsers: one context per episode, a new browser after a crash, no process left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shutil
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from harness.errors import EnvironmentFault, MissingPart
from tasks._shared.browser.driver import start_driver
from tasks._shared.browser.process import BROWSER_FIX, find_browser, kill_marked, parents
from tasks._shared.browser.tab import BrowserSettings, Slot, Tab

if TYPE_CHECKING:
    from playwright.async_api import Playwright, Route

log = logging.getLogger(__name__)
T = TypeVar("T")

FLAGS = (
    "--no-sandbox",  # containers run as root without user namespaces; the pages are the benchmark's own
    "--disable-gpu",
    "--disable-dev-shm-usage",  # /dev/shm is small in containers
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class BrowserPool:
    """Browsers, started as they are needed, each with up to `settings.contexts` contexts.

    Use it as an async context manager. No browser starts before the first `tab`.

    Attributes:
        version: of the browser started last, with its path.
        launches: browsers started so far.
        marker: the switch that every browser of this pool has on its command line.
        drivers: process ids of the drivers that the browsers are the children of.
    """

    def __init__(self, settings: BrowserSettings) -> None:
        self.settings = settings
        self.version = ""
        self.launches = 0
        self.marker = f"--harness-pool={uuid.uuid4().hex}"
        self._slots: list[Slot] = []
        self._closing = False
        self._lock = asyncio.Lock()
        self._playwright: Playwright | None = None
        self.drivers: set[int] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> BrowserPool:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        try:
            await self.settled(self.settings.call_s)
            for slot in list(self._slots):
                await self._retire(slot)
            await self._stop_driver()
        finally:
            kill_marked(self.marker, self.drivers)
            if self.settings.folder is not None:  # a driver that was killed left its browsers' profiles
                await asyncio.to_thread(shutil.rmtree, self.settings.folder, ignore_errors=True)

    @property
    def live(self) -> int:
        """Contexts open now."""
        return sum(slot.live for slot in self._slots)

    async def settled(self, limit_s: float) -> None:
        """Wait until every call has ended, a cancelled caller's too, but no longer than `limit_s`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=limit_s)

    def pids(self) -> list[int]:
        """Process ids of the browsers that run now (their main processes)."""
        running = parents(self.marker)
        return sorted(set(running) - set(running.values()))  # a wrapper script is not the browser

    async def tab(self, **context: Any) -> Tab:
        """Open a context with one page; launch a browser when all others are full or closed.

        Args:
            **context: further arguments of `Browser.new_context`, such as `storage_state`.

        Raises:
            MissingPart: there is no browser on this machine.
            EnvironmentFault: a browser could not be started, or ended meanwhile.
        """
        return await self.to_the_end(self._tab(context), undo=Tab.close)

    async def to_the_end(
        self, work: Coroutine[Any, Any, T], *, undo: Callable[[T], Awaitable[None]] | None = None
    ) -> T:
        """Let a call finish even when its caller is cancelled; its result is then undone."""
        task = asyncio.create_task(work)
        self._keep(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if undo is not None:
                self._keep(asyncio.create_task(_undo(task, undo)))
            raise

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tab(self, context: dict[str, Any]) -> Tab:
        from playwright.async_api import Error

        slot = await self._slot()
        try:
            async with asyncio.timeout(self.settings.call_s * 3):
                return await self._open(slot, context)
        except (Error, TimeoutError) as error:
            slot.live -= 1
            slot.down = slot.down or not slot.browser.is_connected()
            raise EnvironmentFault(f"no new browser context: {error}") from error

    async def _open(self, slot: Slot, context: dict[str, Any]) -> Tab:
        settings = self.settings
        width, height = settings.viewport
        defaults: dict[str, Any] = {
            "locale": settings.locale,
            "timezone_id": settings.timezone,
            "viewport": {"width": width, "height": height},
            "accept_downloads": False,
            "service_workers": "block",
        }
        made = await slot.browser.new_context(**(defaults | context))
        try:
            refused: list[str] = []
            if settings.allow:
                await made.route(_outside(settings.allow), lambda route: _refuse(route, refused))
            made.set_default_timeout(settings.call_s * 1000)
            tab = Tab(made, await made.new_page(), self, slot, refused)
            if not settings.many_pages:
                tab.page.on("crash", lambda _: tab.crash())
                made.on("page", lambda page: page.on("crash", lambda _: tab.crash()))
            return tab
        except BaseException:
            with contextlib.suppress(Exception):
                await made.close()
            raise

    async def _slot(self) -> Slot:
        """A browser with room for a context; its `live` already counts the caller."""
        async with self._lock:
            if self._closing:
                raise EnvironmentFault("the pool of browsers is closed")
            for slot in [slot for slot in self._slots if slot.down and not slot.live]:
                await self._retire(slot)
            slot = next((slot for slot in self._slots if slot.open(self.settings)), None)
            if slot is None:
                slot = await self._launch()
            slot.live += 1
            slot.served += 1
            return slot

    async def _launch(self) -> Slot:
        from playwright.async_api import Error

        for last in (False, True):
            try:
                async with asyncio.timeout(self.settings.call_s * 3):
                    return await self._start()
            except (Error, TimeoutError, OSError) as error:
                # When the driver ends, its browsers end too: start a new driver, once.
                await self._stop_driver()
                if last:
                    raise EnvironmentFault(f"no browser could be started: {error}") from error
        raise AssertionError("unreachable")

    async def _start(self) -> Slot:
        if self._playwright is None:
            self._playwright = await start_driver(self.settings.folder)
        program = find_browser(self._playwright.chromium.executable_path)
        if program is None:
            raise MissingPart(f"no Chromium found; {BROWSER_FIX}")
        marker = f"--harness-browser={uuid.uuid4().hex}"
        switches = [*FLAGS, self.marker, marker, *self.settings.flags, *_reach(self.settings)]
        proxy: Any = {"server": self.settings.proxy, "bypass": "<-loopback>"} if self.settings.proxy else None
        browser = await self._playwright.chromium.launch(executable_path=program, args=switches, proxy=proxy)
        slot = Slot(browser, marker)
        browser.on("disconnected", lambda _: setattr(slot, "down", True))
        await _watch_kills(slot)
        self._slots.append(slot)
        self.drivers.update(parents(marker).values())
        self.version, self.launches = f"{browser.version} ({program})", self.launches + 1
        return slot

    async def give_back(self, tab: Tab) -> None:
        """Close a tab's context and free its slot; called by `Tab.close`."""
        await self.to_the_end(self._release(tab))

    async def _release(self, tab: Tab) -> None:
        try:
            async with asyncio.timeout(self.settings.call_s):
                await tab.context.close()
        except Exception as error:
            # A context that cannot be closed keeps its memory: no new ones in this browser.
            if not tab.slot.down:
                log.info("a browser context did not close: %s", error)
            tab.slot.served = self.settings.episodes
        tab.slot.live -= 1
        if not tab.slot.live and (tab.slot.down or tab.slot.served >= self.settings.episodes):
            await self._retire(tab.slot)

    async def _retire(self, slot: Slot) -> None:
        if slot not in self._slots:
            return
        self._slots.remove(slot)
        slot.down = True
        try:
            async with asyncio.timeout(self.settings.call_s):
                await slot.browser.close()
        except Exception as error:
            log.info("a browser did not close and is killed: %s", error)
        finally:
            kill_marked(slot.marker, set())

    async def _stop_driver(self) -> None:
        playwright, self._playwright = self._playwright, None
        for slot in self._slots:
            slot.down = True
        if playwright is None:
            return
        try:
            async with asyncio.timeout(self.settings.call_s):
                await playwright.stop()
        except Exception as error:
            log.info("the browser driver did not stop: %s", error)
        finally:
            kill_marked(self.marker, self.drivers)
            self.drivers.clear()


async def _watch_kills(slot: Slot) -> None:
    """Note the pages whose process is killed: the browser tells why a process ended, the driver does not."""

    def ended(event: dict[str, Any]) -> None:
        if event["status"] == "killed":
            slot.killed.add(event["targetId"])

    wire = await slot.browser.new_browser_cdp_session()
    wire.on("Target.targetCrashed", ended)
    pages = [{"type": "page"}, {"exclude": True}]
    await wire.send("Target.setDiscoverTargets", {"discover": True, "filter": pages})


async def _undo(task: asyncio.Task[T], undo: Callable[[T], Awaitable[None]]) -> None:
    with contextlib.suppress(Exception):
        await undo(await task)


def _reach(settings: BrowserSettings) -> list[str]:
    """Switches that keep a browser from looking up or reaching what it need not."""
    if not (settings.allow or settings.proxy):
        return []
    names = sorted({urlsplit(place).hostname or "" for place in (*settings.allow, settings.proxy)} - {""})
    rules = ", ".join(["MAP * ~NOTFOUND", *(f"EXCLUDE {name}" for name in names)])
    # WebRTC's datagrams would go round the proxy.
    quiet = ["--force-webrtc-ip-handling-policy=disable_non_proxied_udp"] if settings.proxy else []
    return [f"--host-resolver-rules={rules}", *quiet]


def _outside(allow: tuple[str, ...]) -> re.Pattern[str]:
    """Match every URL that starts with none of the prefixes; for the others the driver calls no Python."""
    return re.compile(f"^(?!{'|'.join(re.escape(prefix) for prefix in allow)})")


async def _refuse(route: Route, refused: list[str]) -> None:
    if len(refused) < 100:
        refused.append(route.request.url)
    with contextlib.suppress(Exception):
        await route.abort("aborted")
