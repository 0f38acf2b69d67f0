"""The HTML report in a real browser: it fits, is silent and harmless, and needs no script or network."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from axe_script import AXE_S, axe_script, violations
from drawn_reports import drawn
from hostile_report import HOSTILE, hostile
from in_browser import CANARY, LOOKS, MORE_LOOKS, NEEDS_BROWSER, NEEDS_NPM, Seen
from playwright.async_api import Browser, Page, async_playwright

from harness.decisions import ledger_page
from harness.decisions.ledger import Night, NightTask
from harness.report.breakdown import break_down
from harness.report.cost import Price
from harness.report.html.page import figures_page
from harness.report.render import render
from harness.report.rules import Rules
from tasks._shared.browser import find_browser

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
    NEEDS_BROWSER,
]
OUTSIDE = """(edge) => [
        ...document.querySelectorAll('h1, h2, h3, p, li, dd, svg text, svg rect, figcaption, .wide')
    ].filter((one) => !one.closest('.wide') || one.className === 'wide').filter((one) => {
        const box = one.getBoundingClientRect();
        return box.right > edge + 1 || box.left < -1;
    }).map((one) => one.outerHTML.slice(0, 150))"""
"""What lies beyond the left or right edge of the page."""
COVERED = """() => [...document.querySelectorAll('svg.rows')].flatMap((svg) => {
    const found = [...svg.querySelectorAll('.name, .remark, .letter, .value')];
    const boxes = found.map((one) => [one.textContent, one.getBoundingClientRect()]);
    return boxes.flatMap(([one, a], n) => boxes.slice(n + 1).filter(([, b]) =>
        a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4
    ).map(([other]) => `${one} | ${other}`));
})"""
"""Words beside a plot that overlap other words."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=find_browser())
        yield started
        await started.close()


@asynccontextmanager
async def opened(
    browser: Browser, path: Path, scheme: str = "light", width: int = 1280, **more: Any
) -> AsyncIterator[tuple[Page, Seen]]:
    """A page of a file, without a network."""
    context = await browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        offline=True,
        **more,
    )
    async with context:
        page = await context.new_page()
        page.set_default_timeout(30_000)
        await page.add_init_script(CANARY)
        seen = Seen(page)
        await page.goto(path.as_uri())
        yield page, seen
        assert seen.errors == []
        assert seen.asked == [path.as_uri()]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of one run by groups, of one, of three, of twenty, of hostile names, and of a ledger's nights."""
    folder = tmp_path_factory.mktemp("pages")
    rules = Rules("gpt4", price=Price(0.2, 0.6))
    one = drawn(
        rules=rules,
        mind2web={"source": "fixture", "not_comparable": ("fixture data",)},
        humaneval={"infra_error": 20, "planned": 140},
        mt_bench={"pending": 30, "planned": 150},
    )
    models = ("agentlm-7b", "agentlm-13b", "agentlm-70b")
    three = [drawn(f"{name}-held-in+general-{n}", name, like=name, seed=n) for n, name in enumerate(models)]
    twenty = [replace(three[n % 3], run=f"nightly-held-in+held-out+general-f3a90bc2-{n}") for n in range(20)]
    grouped = drawn(rules=rules)
    task = grouped.tasks["mmlu"].data
    subjects = "law", "a subject with a very long name", "history"
    task.rows = [replace(row, labels={"subject": subjects[n % 3]}) for n, row in enumerate(task.rows)]
    break_down([grouped], ["subject"])
    pages = {
        "by": [grouped],
        "one": [one],
        "three": three,
        "twenty": twenty,
        "hostile": [hostile(), hostile()],
    }
    for name, reports in pages.items():
        (folder / f"{name}.html").write_text(render(reports, "html", episodes=name == "hostile"), "utf-8")
    nights = figures_page("Ledger", [ledger_page.figure(_nights(), 14, date(2026, 1, 20))])
    (folder / "nights.html").write_text(nights, "utf-8")
    return {name: folder / f"{name}.html" for name in (*pages, "nights")}


def _nights() -> list[Night]:
    """Two weeks, of which the last days are worse and one follows another server."""
    scores = [80.0 - 7 * (n > 10) + n % 3 for n in range(14)]
    return [
        Night(
            f"2026-01-{n + 1:02}",
            f"r{n}",
            HOSTILE if n % 2 else "agentlm-7b",
            "regression" if n > 10 else "pass",
            {"alfworld": NightTask("regression" if n > 10 else "pass", score, (score - 4, score + 4))},
            "old" if n < 6 else "new",
        )
        for n, score in enumerate(scores)
    ]


@pytest.mark.parametrize(("scheme", "width"), [*LOOKS, *MORE_LOOKS])
@pytest.mark.parametrize("name", ["by", "one", "three", "twenty", "hostile", "nights"])
async def test_everything_has_its_place(browser, written, name, scheme, width):
    async with opened(browser, written[name], scheme, width) as (page, _):
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        assert await page.evaluate(OUTSIDE, width) == []
        assert await page.evaluate(COVERED) == []
        ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(21, 23, 26)") == (scheme == "dark")
        kept = os.environ.get("HARNESS_SHOTS")
        if kept:
            shot = Path(kept) / f"report-{name}-{scheme}-{width}.png"
            await page.screenshot(path=shot, full_page=name != "twenty")


async def test_numbers_unfold_by_keyboard_without_a_script(browser, written):
    async with opened(browser, written["one"], java_script_enabled=False) as (page, _):
        (first, *_) = await page.locator("section[id^=plot] summary").all()
        table = page.locator("#plot-1 table")
        assert not await table.is_visible()
        await first.focus()
        await page.keyboard.press("Enter")
        assert await table.is_visible()
        assert await page.locator("#plot-1 svg.rows").count() == 3


async def test_links_lead_to_every_figure(browser, written):
    async with opened(browser, written["three"]) as (page, seen):
        for link in await page.locator("nav a").all():
            await link.click()
            place = page.url.partition("#")[2]
            assert await page.locator(f"[id='{place}']").is_visible()
        seen.asked[1:] = []


@pytest.mark.parametrize("name", ["one", "three"])
async def test_print_is_light_whole_and_fits_the_paper(browser, written, name):
    async with opened(browser, written[name], "dark", 690) as (page, _):
        await page.emulate_media(media="print", color_scheme="dark")
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert await page.evaluate("document.documentElement.scrollWidth") == 690
        tables = await page.locator("table").all()
        assert len(tables) == 7 and all([await table.is_visible() for table in tables])
        assert (await page.pdf(format="A4")).startswith(b"%PDF")


async def test_no_name_runs(browser, written):
    async with opened(browser, written["hostile"]) as (page, _):
        assert await page.evaluate("called") == 0
        assert await page.locator("script, img, iframe, object, embed").count() == 0
        assert HOSTILE[:46] in await page.locator("main").inner_text()


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return axe_script(tmp_path_factory.mktemp("axe"))


@pytest.mark.slow
@NEEDS_NPM
@pytest.mark.timeout(2 * AXE_S)
@pytest.mark.parametrize(("scheme", "width"), LOOKS)
@pytest.mark.parametrize("name", ["by", "one", "three", "hostile", "nights"])
async def test_axe_finds_no_fault(browser, written, axe, name, scheme, width):
    async with opened(browser, written[name], scheme, width, bypass_csp=True) as (page, _):
        for summary in await page.locator("section summary").all():
            await summary.click()
        found = await violations(page, axe)
        assert [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found] == []
