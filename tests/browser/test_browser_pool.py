"""The pool of browsers: contexts, limits, what a page may load, and what stays afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from in_browser import NEEDS_BROWSER
from processes import gone, until_gone

from harness.errors import EnvironmentFault
from tasks._shared.browser import BrowserPool, BrowserSettings
from tasks._shared.browser.process import parents

pytestmark = [
    pytest.mark.timeout(120),
    NEEDS_BROWSER,
]

GONE_S = 10.0
PAGE = "<!doctype html><title>page</title><p id=p>text</p>"


def settings(folder: Path, **changes: object) -> BrowserSettings:
    return BrowserSettings(allow=(folder.as_uri() + "/",), **changes)  # type: ignore[arg-type]


def page(folder: Path, text: str = PAGE, name: str = "page.html") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path.as_uri()


async def test_locale_zone_and_size_are_pinned(tmp_path: Path):
    async with BrowserPool(settings(tmp_path, viewport=(400, 300), timezone="Asia/Tokyo")) as pool:
        tab = await pool.tab()
        await tab.call(tab.page.goto(page(tmp_path)))
        code = (
            "[navigator.language, Intl.DateTimeFormat().resolvedOptions().timeZone, innerWidth, innerHeight]"
        )
        assert await tab.call(tab.page.evaluate(code)) == ["en-US", "Asia/Tokyo", 400, 300]
        assert pool.version


async def test_contexts_share_no_state_and_fill_a_browser_before_the_next(tmp_path: Path):
    where = page(tmp_path)
    async with BrowserPool(settings(tmp_path, contexts=3)) as pool:
        tabs = [await pool.tab() for _ in range(3)]
        assert pool.launches == 1
        for tab in tabs[:2]:
            await tab.call(tab.page.goto(where))
        await tabs[0].call(tabs[0].page.evaluate("localStorage.setItem('key', 'one')"))
        assert await tabs[1].call(tabs[1].page.evaluate("localStorage.getItem('key')")) is None
        tabs.append(await pool.tab())
        assert (pool.launches, pool.live, len(pool.pids())) == (2, 4, 2)
        for tab in tabs:
            await tab.close()
            await tab.close()
        assert pool.live == 0


async def test_a_browser_is_replaced_when_it_has_served_enough(tmp_path: Path):
    async with BrowserPool(settings(tmp_path, episodes=2)) as pool:
        first = [await pool.tab(), await pool.tab()]
        old = pool.pids()
        third = await pool.tab()
        assert pool.launches == 2
        for tab in first:
            await tab.close()
        await until_gone(*old, within_s=GONE_S)
        assert third.page.is_closed() is False
        await third.close()


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A loopback port that notes whatever connects to it."""
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(64))
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()


REACHING_OUT = """<!doctype html><p id=p>text</p><script>
const port = location.hash.slice(1), host = `127.0.0.1:${port}`, results = [];
function image(url) {
  return new Promise((go) => { const i = new Image(); i.onload = i.onerror = go; i.src = url; });
}
function socket(url) {
  return new Promise((go) => { const s = new WebSocket(url); s.onopen = s.onerror = go; });
}
window.finished = Promise.allSettled([
  fetch(`http://${host}/fetch`), fetch(`http://example.com:${port}/name`), image(`http://${host}/image`),
  socket(`ws://${host}/socket`), fetch(`http://localhost:${port}/localhost`), image('file:///etc/hostname'),
]).then(() => true);
</script><a id=out href="http://example.com/">out</a>"""


async def test_nothing_outside_the_allow_list_is_reached(tmp_path: Path):
    folder = tmp_path / "site"
    folder.mkdir()
    async with BrowserPool(settings(folder)) as pool, listener() as (port, heard):
        tab = await pool.tab()
        await tab.call(tab.page.goto(f"{page(folder, REACHING_OUT)}#{port}"))
        assert await tab.call(tab.page.evaluate("finished"))
        before = tab.page.url
        await tab.call(tab.page.click("#out"))
        # An answer from the page after the click shows that it is still there.
        assert await tab.call(tab.page.evaluate("document.getElementById('p').textContent")) == "text"
        assert tab.page.url == before
        assert heard == []
        assert any("/fetch" in url for url in tab.refused)
        assert any("example.com/" in url for url in tab.refused)


async def test_what_the_allow_list_names_is_reached(tmp_path: Path):
    async with listener() as (port, heard):
        allow = (f"http://127.0.0.1:{port}/",)
        async with BrowserPool(BrowserSettings(allow=allow)) as pool:
            tab = await pool.tab()
            with pytest.raises(Exception, match=r"ERR_EMPTY_RESPONSE|ERR_INVALID_HTTP_RESPONSE"):
                await tab.call(tab.page.goto(f"{allow[0]}page"))
    assert heard and heard[0].startswith(b"GET /page")


async def test_a_call_that_hangs_is_a_fault(tmp_path: Path):
    async with BrowserPool(settings(tmp_path)) as pool:
        tab = await pool.tab()
        await tab.call(tab.page.goto(page(tmp_path)))
        with pytest.raises(EnvironmentFault, match="did not answer"):
            await tab.call(tab.page.evaluate("new Promise(() => 0)"), limit_s=0.2)
        await tab.close()


async def test_a_crashed_page_is_a_fault_and_others_live_on(tmp_path: Path):
    where = page(tmp_path)
    async with BrowserPool(settings(tmp_path)) as pool:
        bad, good = await pool.tab(), await pool.tab()
        for tab in (bad, good):
            await tab.call(tab.page.goto(where))
        wire = await bad.context.new_cdp_session(bad.page)
        with pytest.raises(EnvironmentFault):
            await bad.call(wire.send("Page.crash"))
        assert await good.call(good.page.evaluate("1 + 1")) == 2
        await bad.close()
        await good.close()


async def test_cancelled_openings_leave_nothing(tmp_path: Path):
    async with BrowserPool(settings(tmp_path)) as pool:
        await (await pool.tab()).close()
        for turns in range(12):
            opening = asyncio.create_task(pool.tab())
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
        await pool.settled(20.0)
        assert pool.live == 0
        pids = pool.pids()
        assert len(pids) == 1
    await until_gone(*pids, within_s=GONE_S)


async def test_closing_leaves_no_process_and_no_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    async with BrowserPool(settings(tmp_path, contexts=1)) as pool:
        for _ in range(2):
            tab = await pool.tab()
            await tab.call(tab.page.goto(page(tmp_path)))
        pids = pool.pids()
        drivers = [driver for driver in pool.drivers if not gone(driver)]
        assert len(pids) == 2
        assert drivers
        assert list(scratch.iterdir())
    await until_gone(*pids, *drivers, within_s=GONE_S)
    assert list(scratch.iterdir()) == []
    with pytest.raises(EnvironmentFault, match="closed"):
        await pool.tab()


async def test_a_stopped_browser_is_killed_at_the_end(tmp_path: Path):
    async with BrowserPool(settings(tmp_path, call_s=2.0)) as pool:
        await pool.tab()
        pids = pool.pids()
        os.kill(pids[0], signal.SIGSTOP)
    await until_gone(*pids, within_s=GONE_S)


def test_a_marker_nobody_carries_finds_nobody():
    assert parents("--harness-browser=nobody") == {}
