"""The pages of `harness view` in a real browser: rendering, filters, keys, live, hostile texts, bundles."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from in_browser import CANARY, LOOKS, MORE_LOOKS, NEEDS_BROWSER, Seen
from playwright.async_api import Browser, Page, async_playwright, expect
from viewed_runs import attempt, begun, hostile_run, viewed_run

from harness.report.load import FILE
from harness.storage.store import EpisodeKey
from harness.view.bundle import bundle
from harness.view.server import Place, serving
from tasks._shared.browser import find_browser

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
    NEEDS_BROWSER,
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        yield await playwright.chromium.launch(executable_path=find_browser())


@asynccontextmanager
async def page_of(
    browser: Browser, scheme: str = "light", width: int = 1280, **more
) -> AsyncIterator[tuple[Page, Seen]]:
    context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **more)
    async with context:
        page = await context.new_page()
        page.set_default_timeout(20_000)
        await page.add_init_script(CANARY)
        yield page, Seen(page)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [viewed_run(folder / "first", 230), viewed_run(folder / "second", 230, worse=4)]


@pytest.mark.parametrize(("scheme", "width"), [*LOOKS, *MORE_LOOKS])
async def test_every_page_renders_without_error_or_another_origin(browser, stored, tmp_path, scheme, width):
    shots = Path(os.environ.get("HARNESS_SHOTS") or tmp_path)
    async with serving(stored, Place()) as address, page_of(browser, scheme, width) as (page, seen):
        for name, where, shown in (
            ("tasks", "", "garden"),
            ("episodes", "#/0/l?task=garden", "s/003"),
            ("episode", "#/0/e/5?with=5", "so it is 3 of 0"),
            ("missing", "#/0/e/9999", "this run has no attempt 9999"),
        ):
            await page.goto("about:blank")
            await page.goto(address + where)
            await expect(page.locator("main")).to_contain_text(shown)
            await page.screenshot(path=shots / f"{name}-{scheme}-{width}.png")
            too_wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
            assert not too_wide, f"{name} is wider than its window"
        seen.errors = [text for text in seen.errors if "400 (Bad Request)" not in text]  # the missing episode
        seen.check(address)


async def test_filters_search_and_paging(browser, stored):
    async with serving(stored[:1], Place()) as address, page_of(browser) as (page, seen):
        await page.goto(f"{address}#/0/l?task=garden")
        rows = page.locator(".episodes tbody tr")
        await expect(rows).to_have_count(100)
        await page.get_by_role("button", name="Show more").click()
        await expect(rows).to_have_count(200)
        await page.get_by_role("button", name="Show more").click()
        await expect(rows).to_have_count(230)
        ids = await rows.evaluate_all("rows => rows.map(row => row.dataset.id)")
        assert len(set(ids)) == 230
        await page.get_by_label("Group", exact=True).select_option("kind=odd")
        await page.get_by_label("Value from", exact=True).fill("1")
        await page.get_by_label("Value from", exact=True).press("Enter")
        await expect(page.get_by_role("status").first).to_have_text("38 episodes")
        await page.goto(f"{address}#/0/l?task=garden")
        await expect(rows).to_have_count(100)  # the form before is gone
        await page.get_by_label("Text", exact=True).fill('"I think 117"')
        await page.get_by_label("Text", exact=True).press("Enter")
        await expect(rows).to_have_count(1)
        await expect(rows.first).to_contain_text("s/117")
        await page.get_by_label("Outcome", exact=True).select_option("infra_error")
        await expect(page.locator("main")).to_contain_text("No episode is like that.")
        await page.goto(f"{address}#/0/l?")
        await expect(rows).to_have_count(100)
        await page.get_by_label("Last log", exact=True).fill("step 0")
        await page.get_by_label("Last log", exact=True).press("Enter")
        await expect(rows).to_have_count(1)
        await expect(rows.first).to_contain_text("step 0")
        seen.check(address)


async def test_with_the_keyboard_from_the_tasks_to_a_turn_and_back(browser, stored):
    async with serving(stored, Place()) as address, page_of(browser) as (page, seen):
        await page.goto(address)
        await expect(page.locator(".tasks")).to_be_visible()
        await page.keyboard.press("Enter")
        await expect(page.locator(".episodes tbody tr")).to_have_count(100)
        for key in ("j", "j", "k", "j"):
            await page.keyboard.press(key)
        name = await page.evaluate("document.activeElement.textContent")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text(name)
        for key in ("j", "j"):
            await page.keyboard.press(key)
        await expect(page.locator(":focus")).to_have_text("Turn 2")
        assert page.url.partition("?")[0].endswith("/2")
        await page.keyboard.press("p")
        await expect(page.locator("#turn-2 .panel")).to_contain_text("USER question 1")
        await expect(page.locator("#turn-2 .asked")).to_contain_text("max_new_tokens 32 · stop [")
        await page.keyboard.press("c")
        await expect(page.locator("#compare ins")).to_have_text("4")
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await page.keyboard.press("N")
        await expect(page.locator("h1")).to_have_text("s/003")
        await page.keyboard.press("n")
        await expect(page.locator("h1")).to_have_text(name)
        await page.keyboard.press("Escape")
        await expect(page.locator(":focus")).to_have_text(name)
        await page.keyboard.press("Escape")
        await expect(page.locator(".tasks")).to_be_visible()
        seen.check(address)


async def test_the_first_episodes_of_two_runs_are_those_that_differ(browser, stored):
    async with serving(stored, Place()) as address, page_of(browser) as (page, _):
        await page.goto(address)
        await page.locator(".tasks tbody tr").first.get_by_role("link", name="4").click()
        rows = page.locator(".episodes tbody tr")
        await expect(rows.first).to_be_visible()
        marked = await rows.evaluate_all("rows => rows.map(row => row.className)")
        assert marked[:5] == ["unlike"] * 4 + [""]


async def test_copies_and_a_link_to_a_turn(browser, stored):
    allowed = ["clipboard-read", "clipboard-write"]
    async with serving(stored[:1], Place()) as address, page_of(browser, permissions=allowed) as (page, _):
        await page.goto(f"{address}#/0/e/5/2")
        await expect(page.locator(":focus")).to_have_text("Turn 2")
        for button, told in (
            (page.get_by_role("button", name="Copy as replay line"), '{"task": "garden", "sample": "s/003"'),
            (
                page.locator("#turn-2").get_by_role("button", name="Copy as curl"),
                "curl http://gpu:8080/generate",
            ),
            (page.get_by_role("button", name="Copy link"), f"{address}#/0/e/5/2"),
        ):
            await page.locator("#said").evaluate("said => said.textContent = ''")
            await button.click()
            await expect(page.locator("#said")).to_contain_text("copied")
            assert (await page.evaluate("navigator.clipboard.readText()")).startswith(told)


async def test_hostile_texts_are_shown_and_nothing_runs(browser, tmp_path):
    path = hostile_run(tmp_path / "run")
    await asyncio.to_thread(bundle, [path], tmp_path / "pages", most=50_000_000)
    file = (tmp_path / "pages" / "index.html").as_uri()
    async with serving([path, path], Place()) as address, page_of(browser) as (page, seen):
        for start in (address, file):
            for where in ("", "#/0/l?", "#/0/l?words=canary", "#/0/e/1", "#/0/e/2?with=2"):
                await page.goto("about:blank")
                await page.goto(start + where)
                await expect(page.locator("main")).to_contain_text("canary()" if where else "garden")
                if "e/" in where:
                    await page.locator("main button").evaluate_all("all => all.forEach(one => one.click())")
                    await expect(page.locator(".panel pre").first).to_contain_text("canary()")
                    await page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
            assert await page.evaluate("globalThis.called") == 0
            assert await page.locator("main script, main img, main svg, main style").count() == 0
        await page.goto("about:blank")
        await page.goto(f"{address}#/0/e/2")
        reply = page.locator("#turn-1 .reply pre")
        await expect(reply).to_contain_text("<script>canary()</script>")
        for mark in ("\\x00", "\\x1b", "U+202E", "U+2066", "U+D800"):
            await expect(reply.locator(".mark", has_text=mark).first).to_be_visible()
        long = page.locator("#turn-2 .reply")
        await long.get_by_role("button", name="Show all 60,").click()
        await expect(long.locator("pre .mark").first).to_be_attached()
        assert all(
            url.startswith((address, file.rpartition("/")[0], "data:", "about:")) for url in seen.asked
        )
        assert not [text for text in seen.errors if "Content Security Policy" in text]


async def test_an_episode_that_ends_while_the_page_is_open_appears(browser, tmp_path):
    store = begun(tmp_path)
    store.plan([EpisodeKey("garden", 1, f"s/{n:03}", 0) for n in range(3)])
    store.beat({"state": "playing"})
    try:
        async with serving([tmp_path / FILE], Place()) as address, page_of(browser) as (page, seen):
            await page.goto(f"{address}#/0/l?task=garden")
            await expect(page.locator("main")).to_contain_text("No episode has ended yet.")
            await expect(page.locator("#state")).to_contain_text("playing")
            store.add(attempt(1, 1.0))
            row = page.locator(".episodes tbody tr")
            await expect(row).to_have_count(1, timeout=3_000 if not os.environ.get("CI") else 20_000)
            await page.keyboard.press("j")
            store.add(attempt(2, 0.0))
            await expect(row).to_have_count(2)
            await expect(page.locator(":focus")).to_have_text("s/001")  # the place is not lost
            await page.locator("#search").focus()
            store.add(attempt(0, 1.0))
            await expect(row).to_have_count(3)
            await expect(page.locator(":focus")).to_have_id("search")
            seen.check(address)
    finally:
        store.close()


async def test_a_bundle_opens_from_its_folder_without_a_server(browser, stored, tmp_path):
    folder = tmp_path / "pages"
    told = await asyncio.to_thread(bundle, stored, folder, most=50_000_000)
    assert told.startswith(f"{folder / 'index.html'}: 232 episodes")
    file = (folder / "index.html").as_uri()
    async with page_of(browser) as (page, seen):
        await page.goto(file)
        await expect(page.locator(".tasks")).to_contain_text("garden")
        await page.goto(f"{file}#/0/l?task=garden&group=kind%3Dodd&words=think+117")
        await expect(page.locator(".episodes tbody tr")).to_have_count(1)
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("s/117")
        for key in ("j", "j", "p"):
            await page.keyboard.press(key)
        view_prompt = page.locator("#turn-2 .panel pre")
        await expect(view_prompt).to_contain_text("SYSTEM be brief")
        await expect(view_prompt).to_contain_text("I think 117")
        await page.goto(f"{file}#/0/l?end=step+0")
        await expect(page.locator(".episodes tbody tr")).to_have_count(1)
        await page.goto(f"{file}#/0/e/3?with=3")
        await expect(page.locator("h1")).to_have_text("s/001")
        await page.keyboard.press("c")
        await expect(page.locator("#compare ins")).to_have_text("4")
        seen.check(file.rpartition("/")[0])
