"""Several pages in one tab, and the proxy that decides what a browser reaches."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web
from in_browser import NEEDS_BROWSER
from playwright.async_api import Error
from process_tree import kill_renderers

from harness.errors import EnvironmentFault
from tasks._shared.browser import (
    BrowserPool,
    BrowserSettings,
    FilteringProxy,
    PageLost,
    Pages,
)

pytestmark = [
    pytest.mark.timeout(120),
    NEEDS_BROWSER,
]

LINK = '<title>first</title><a id=a href="/second" target=_blank>second</a>'
POPUPS = (
    "<title>first</title>"
    "<button onclick=\"for (let i = 0; i < 1000; i++) window.open('/second')\">go</button>"
)


@asynccontextmanager
async def site(body: str = LINK) -> AsyncIterator[tuple[str, list[str]]]:
    """A server; its address and the paths that were asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": request.query["to"]})
        text = body if request.path == "/" else "<title>second</title><p>second</p>"
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


@asynccontextmanager
async def pages(most: int = 8, call_s: float = 5.0) -> AsyncIterator[Pages]:
    async with BrowserPool(BrowserSettings(many_pages=True, call_s=call_s)) as pool:
        tab = await pool.tab()
        yield Pages(tab, most)
        await tab.close()


async def test_a_new_page_is_seen_and_does_not_become_the_current_one():
    async with site() as (where, _), pages() as found:
        first = found.current
        await found.call(first.goto(where))
        async with first.context.expect_page():
            await found.call(first.click("#a"))
        assert await found.loaded(5)
        assert (len(found.all), found.current) == (2, first)
        second = found.all[1]
        session = await found.session(second)
        assert (await found.call(session.send("Accessibility.getFullAXTree")))["nodes"]
        await found.focus(second)
        await found.close(second)
        assert found.current is first
        await found.close(first)
        assert [page.url for page in found.all] == ["about:blank"]
        assert found.number(found.current) == 2


async def test_a_flood_of_pages_ends_with_the_page_that_opens_them():
    async with site(POPUPS) as (where, _), pages(most=3) as found:
        first, closed = found.current, asyncio.Event()
        first.on("close", lambda _: closed.set())
        await found.call(first.goto(where))
        began = time.monotonic()
        with contextlib.suppress(PageLost, Error):  # the page that is clicked may be gone before the answer
            await found.call(first.click("button"), limit_s=60)
        await asyncio.wait_for(closed.wait(), 60)
        await found.calm()
        assert time.monotonic() - began < 60
        assert found.turned_away >= 8
        assert len(found.all) <= 3
        await found.call(found.current.goto(where))
        assert await found.call(found.current.title()) == "first"


async def test_dialogs_are_dismissed_and_a_page_that_asks_to_stay_is_left():
    body = (
        "<script>onbeforeunload = e => e.preventDefault(); answer = confirm('?')</script><button>b</button>"
    )
    async with site(body) as (where, _), pages() as found:
        await found.call(found.current.goto(where))
        assert await found.call(found.current.evaluate("answer")) is False
        await found.call(found.current.click("button"))
        await found.call(found.current.goto(f"{where}/second"))
        assert found.dialogs == 2


async def test_a_page_that_does_not_answer_is_lost_and_not_the_browser():
    async with pages(call_s=2.0) as found:
        page = found.current
        with pytest.raises(PageLost):
            await found.call(page.evaluate("() => { while (true); }"))
        await found.close(page)
        assert await found.call(found.current.evaluate("1 + 1")) == 2


@pytest.mark.parametrize("current", [True, False], ids=["the current page", "another page"])
async def test_a_page_whose_process_is_killed_from_outside_is_no_failure_of_the_model(current: bool):
    async with pages() as found:
        page = found.current
        if not current:
            await found.new()
        gone = asyncio.Event()
        page.on("crash", lambda _: gone.set())
        kill_renderers()
        await asyncio.wait_for(gone.wait(), 30)
        with pytest.raises(EnvironmentFault, match="signal from outside"):
            await found.calm()
        with pytest.raises(EnvironmentFault, match="signal from outside"):
            await found.call(page.evaluate("1 + 1"))


async def test_a_page_that_runs_a_loop_hides_no_crash_and_is_no_kill():
    async with pages(call_s=2.0) as found:
        looping = found.current
        with pytest.raises(PageLost):
            await found.call(looping.evaluate("() => { while (true); }"))
        page = await found.new()
        crashed = asyncio.Event()
        page.on("crash", lambda _: crashed.set())
        with pytest.raises((PageLost, Error)):
            await found.call(page.goto("chrome://crash"))
        await asyncio.wait_for(crashed.wait(), 10)
        await found.calm()
        assert found.current is not page and looping in found.all


async def test_a_page_that_crashes_is_replaced():
    async with pages() as found:
        page, crashed = found.current, asyncio.Event()
        page.on("crash", lambda _: crashed.set())
        with pytest.raises((PageLost, Error)):
            await found.call(page.goto("chrome://crash"))
        await asyncio.wait_for(crashed.wait(), 10)
        await found.calm()
        assert found.current is not page
        assert await found.call(found.current.evaluate("1 + 1")) == 2


async def test_a_browser_that_is_killed_is_a_fault_and_no_lost_page():
    async with BrowserPool(BrowserSettings(many_pages=True)) as pool:
        found = Pages(await pool.tab())
        for pid in pool.pids():
            os.kill(pid, 9)
        with pytest.raises(EnvironmentFault):
            await found.call(found.current.evaluate("1"))


@asynccontextmanager
async def proxied(*allowed: str) -> AsyncIterator[tuple[FilteringProxy, Pages]]:
    places = {("127.0.0.1", int(where.rpartition(":")[2])) for where in allowed}
    async with FilteringProxy(places) as proxy:
        settings = BrowserSettings(proxy=proxy.address, many_pages=True)
        async with BrowserPool(settings) as pool:
            yield proxy, Pages(await pool.tab())


async def test_only_the_listed_port_of_a_host_is_reached():
    async with site() as (good, _), site() as (other, asked), proxied(good) as (proxy, found):
        page = found.current
        await found.call(page.goto(good))
        assert await found.call(page.title()) == "first"
        for url in (other, f"{good}/away?to={other}/hop", other.replace("127.0.0.1", "localhost")):
            shown: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            page.once(
                "framenavigated", lambda frame, shown=shown: shown.set_result(frame)
            )  # the error page is a navigation, too
            with pytest.raises(Error):
                await found.call(page.goto(url))
            await asyncio.wait_for(shown, 20)
        await found.call(page.goto(good))
        script = """async ([http, ws]) => {
          const tell = socket => new Promise(done => {
            socket.onopen = () => done('open'); socket.onerror = () => done('error');
          });
          const fetched = await fetch(http, {mode: 'no-cors'}).then(() => 'open', () => 'error');
          return [fetched, await tell(new WebSocket(ws))];
        }"""
        places = [f"{other}/x", other.replace("http", "ws") + "/y"]
        assert await found.call(page.evaluate(script, places)) == ["error", "error"]
        assert asked == []
        port = int(other.rpartition(":")[2])
        assert {place for place in proxy.refused if place[1] == port} >= {("127.0.0.1", port)}


async def test_the_proxy_forwards_bodies_and_refuses_what_is_no_request():
    async with (
        site() as (good, asked),
        FilteringProxy({("127.0.0.1", int(good.rpartition(":")[2]))}) as proxy,
    ):
        sent = {"data": b"x" * 300_000, "proxy": proxy.address}
        async with ClientSession() as session, session.post(f"{good}/form", **sent) as answer:
            assert answer.status == 200 and "second" in await answer.text()
        assert asked == ["/form"]
        host, port = proxy.address.removeprefix("http://").split(":")
        for head in (b"GET / HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n", b"CONNECT x HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(head)
            assert await reader.read() == b""
            writer.close()
