"""How long reading a page takes: the builder against its two browser calls, and many contexts at once.

    python benchmarks/webarena.py

Prints for two sizes of page the CPU time of the text builder over the wall time of its two calls (stated
ceiling 0.5), and how many pages of 345 nodes 20 contexts read in a second (stated floor 10 on 2 cores).
"""

from __future__ import annotations

import asyncio
import time
from statistics import median

from tasks._shared.browser import BrowserPool, BrowserSettings, Pages
from tasks.webarena.observe import Sight, read_page
from tasks.webarena.reader import VIEWPORT, PageReader, Reading

CEILING, FLOOR = 0.5, 10.0
SIZES = {345: 57, 3225: 537}
"""Accessibility nodes, and the list items that make about so many."""

CONTEXTS, ROUNDS = 20, 3


def page(items: int) -> str:
    rows = "".join(f"<li><a href=/{n}>Article {n}</a></li>" for n in range(items))
    return f"<!doctype html><title>list</title><ul>{rows}</ul>"


async def builder(pages: Pages) -> tuple[int, float, float]:
    """Nodes, CPU seconds of the builder, wall seconds of the two calls."""
    session = await pages.session(pages.current)
    calls, built, count = [], [], 0
    for _ in range(7):
        began = time.perf_counter()
        snapshot = await session.send("DOMSnapshot.captureSnapshot", {"computedStyles": []})
        tree = await session.send("Accessibility.getFullAXTree")
        calls.append(time.perf_counter() - began)
        began = time.process_time()
        read_page(tree["nodes"], snapshot, Sight(str))
        built.append(time.process_time() - began)
        count = len(tree["nodes"])
    return count, median(built), median(calls)


async def main() -> None:
    settings = BrowserSettings(viewport=VIEWPORT, many_pages=True, call_s=60, contexts=12)
    async with BrowserPool(settings) as pool:
        tab = await pool.tab()
        pages = Pages(tab)
        for items in SIZES.values():
            await tab.page.set_content(page(items))
            count, cpu, wall = await builder(pages)
            told = f"builder {1000 * cpu:.1f} ms CPU, calls {1000 * wall:.1f} ms, ratio {cpu / wall:.2f}"
            print(f"{count} nodes: {told} (ceiling {CEILING})")
        await tab.close()
        readers: list[PageReader] = []
        reading = Reading()
        for _ in range(CONTEXTS):
            tab = await pool.tab()
            await tab.page.set_content(page(SIZES[345]))
            readers.append(PageReader(Pages(tab), reading))
        began = time.perf_counter()
        for _ in range(ROUNDS):
            await asyncio.gather(*(reader.look() for reader in readers))
        rate = CONTEXTS * ROUNDS / (time.perf_counter() - began)
        print(f"{CONTEXTS} contexts: {rate:.1f} pages read per second (floor {FLOOR})")


if __name__ == "__main__":
    asyncio.run(main())
