"""MiniWoB++ in our pool against Selenium's default path: actions per second, and memory per context.

    python benchmarks/miniwob.py

An action is one click on a checkbox by xpath and the page read afterwards. Selenium does it as the released
scripts did: one Chrome, `find_element`, the default `ActionChains`, and the page's state by script. Targets:
at 8 and at 32 contexts 20 times its rate, and at most 40 MB (proportional set size) per context, browser
processes included, once every context has made five actions (an episode makes three to ten). The exit code
is 1 when a figure is worse than its target by more than half.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A script's own folder comes first on the path, where this file would hide the package of its name.
sys.path[0] = str(ROOT)
sys.path.append(str(ROOT / "tests" / "support"))

from contexts import task_context  # noqa: E402

from harness.types import Sample  # noqa: E402
from tasks._shared.browser.process import parents  # noqa: E402
from tasks.miniwob import pages  # noqa: E402
from tasks.miniwob.action import MiniWobAction  # noqa: E402
from tasks.miniwob.episode import WobEpisode  # noqa: E402
from tasks.miniwob.task import TASK  # noqa: E402
from tasks.miniwob.world import WobWorld  # noqa: E402

TASK_NAME = "click-checkboxes-large"
XPATH = '//*[@id="ch0"]'
SELENIUM_ACTIONS = 20
SECONDS = 6.0
EPISODE_ACTIONS = 5
TIMES_SELENIUM = 20.0
MEGABYTES = 40.0
SLACK = 1.5


def program(name: str) -> str:
    """Where a program is; the benchmark ends with the way to get it where it is nowhere."""
    found = shutil.which(name)
    if found is None:
        sys.exit(f"no {name} on PATH: apt-get install -y --no-install-recommends chromium chromium-driver")
    return found


def selenium_rate() -> float:
    """Actions per second of one Chrome driven the default way."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    for flag in ("--headless=new", "disable-gpu", "no-sandbox", "disable-dev-shm-usage"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    try:
        driver.get(pages.location(pages.package_html(), TASK_NAME).as_uri())
        driver.execute_script("core.EPISODE_MAX_TIME = 1e7; Math.seedrandom(1); core.startEpisodeReal();")
        began = time.perf_counter()
        for _ in range(SELENIUM_ACTIONS):
            element = driver.find_element(By.XPATH, XPATH)
            ActionChains(driver).move_to_element(element).click().perform()
            driver.execute_script("return [core.getUtterance(), core.getDOMInfo(), WOB_DONE_GLOBAL];")
            driver.find_element(By.ID, "wrap").get_attribute("outerHTML")
        return SELENIUM_ACTIONS / (time.perf_counter() - began)
    finally:
        driver.quit()


async def ours(contexts: int) -> tuple[float, float]:
    """Actions per second of so many contexts together, and megabytes per context."""
    with tempfile.TemporaryDirectory() as work:
        data = ROOT / "tasks" / "miniwob" / "fixture"
        ctx = task_context(TASK, data, Path(work), source="fixture")
        async with TASK.world(ctx) as world:
            return await loaded(world, contexts)


async def loaded(world: WobWorld, contexts: int) -> tuple[float, float]:
    sample = Sample(f"{TASK_NAME}/0", {"task": TASK_NAME, "trial": 0})
    episodes = [await world.episode(sample, {}, seed) for seed in range(contexts)]
    for episode in episodes:
        await episode.reset()
    for episode in episodes:
        for _ in range(EPISODE_ACTIONS):
            await one(episode)
    memory = sum(pss(pid) for pid in family(parents(world.pool.marker))) / contexts
    began, done = time.perf_counter(), 0

    async def work(episode: WobEpisode) -> None:
        nonlocal done
        while time.perf_counter() - began < SECONDS:
            await one(episode)
            done += 1

    await asyncio.gather(*(work(episode) for episode in episodes))
    rate = done / (time.perf_counter() - began)
    for episode in episodes:
        await episode.close()
    return rate, memory


async def one(episode: WobEpisode) -> None:
    """One action and the page read afterwards."""
    page = episode._page
    assert page is not None
    assert await page.act(MiniWobAction("clickxpath", XPATH))
    assert (await page.look(episode.view, missed=False)).html


def family(roots) -> set[int]:
    """Processes and all their descendants."""
    found, grown = set(roots), True
    while grown:
        grown = False
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(path.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent in found and int(path.parent.name) not in found:
                found.add(int(path.parent.name))
                grown = True
    return found


def pss(pid: int) -> float:
    """Proportional set size in megabytes; 0 for a process that has gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1000
    except OSError:
        pass
    return 0.0


def main() -> int:
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    worst = 0.0
    for contexts in (8, 32):
        # The floor is taken anew beside each figure, so that both see the same machine.
        floor = selenium_rate()
        rate, memory = asyncio.run(ours(contexts))
        times = rate / floor
        worst = max(worst, TIMES_SELENIUM / times, memory / MEGABYTES)
        print(
            f"{contexts:3d} contexts: {rate:6.1f} actions/s = {times:5.1f} x selenium ({floor:.2f}/s), "
            f"target {TIMES_SELENIUM:g} x; {memory:5.1f} MB per context, target {MEGABYTES:g}"
        )
    return int(worst > SLACK)


if __name__ == "__main__":
    sys.exit(main())
