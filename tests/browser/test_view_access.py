"""axe-core finds no serious fault in the pages of `harness view`, in both schemes and widths."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_script import AXE_S, axe_script, violations
from in_browser import NEEDS_BROWSER, NEEDS_NPM
from playwright.async_api import async_playwright, expect
from viewed_runs import viewed_run

from harness.view.server import Place, serving
from tasks._shared.browser import find_browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(2 * AXE_S),
    NEEDS_BROWSER,
    NEEDS_NPM,
]


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core, from the npm registry."""
    return axe_script(tmp_path_factory.mktemp("axe"))


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_serious_fault(axe, tmp_path, scheme, width):
    paths: list[Path] = [viewed_run(tmp_path / "a"), viewed_run(tmp_path / "b", worse=4)]
    async with serving(paths, Place()) as address, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_browser())
        page = await browser.new_page(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            bypass_csp=True,  # for axe's own script
        )
        for where, shown in (
            ("", "garden"),
            ("#/0/l?task=garden", "s/003"),
            ("#/0/e/2?with=2", "so it is 0 of 0"),
            ("#/0/e/32", "The judge"),
            ("#/0/e/33", "not to be spread"),
            ("#/0/e/999", "no attempt 999"),
        ):
            await page.goto("about:blank")
            await page.goto(address + where)
            await expect(page.locator("main")).to_contain_text(shown)
            if "with" in where:
                await page.keyboard.press("c")
                await page.keyboard.press("p")
                await expect(page.locator("#compare .pair").first).to_be_visible()
                await expect(page.locator(".panel pre").first).to_be_visible()
            found = await violations(page, axe)
            faults = [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]
            assert faults == [], f"{where} {scheme} {width}"
        await browser.close()
