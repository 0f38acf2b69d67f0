"""The pages as AgentTuning showed them: the same everywhere for a seed, changed as documented, played."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from contexts import samples_of, task_context

from harness.errors import DataError
from harness.types import Context, Profile, Reply, Sample, Score
from tasks._shared.browser import Tab, find_browser
from tasks.miniwob import pages
from tasks.miniwob.action import MiniWobAction, parse
from tasks.miniwob.page import WobPage
from tasks.miniwob.protocol import View
from tasks.miniwob.task import TASK
from tasks.miniwob.world import WobWorld

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(find_browser() is None and not os.environ.get("CI"), reason="no Chromium on PATH"),
]

Check = Callable[[WobPage, View], Any]

SOME = [4, pytest.param(1, marks=pytest.mark.slow)]
"""Every so many of the 46 listed pages: twelve of them, and slow all."""

WIDTH = 6
"""Pages open at the same time; the machine that tests has two cores."""


def context(data: Path, work: Path, profile: Profile = "paper", **options: Any) -> Context:
    return task_context(TASK, data, work, profile=profile, **options)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WobWorld]:
    async with TASK.world(context(mirror / "miniwob", tmp_path_factory.mktemp("wob"))) as opened:
        # What types a thousand characters takes long on a machine with much else to do.
        opened.pool.settings = replace(opened.pool.settings, call_s=60.0)
        yield opened


def sample(task: str, trial: int = 0) -> Sample:
    return Sample(f"{task}/{trial}", {"task": task, "trial": trial}, {"task": task})


def listed(data: Path, step: int = 1) -> list[str]:
    """Every so many of the listed pages."""
    found = (data / "available_tasks.txt").read_text(encoding="utf-8").split()
    assert len(found) == 46
    return found[::step]


async def together(works: list[Any]) -> list[Any]:
    gate = asyncio.Semaphore(WIDTH)

    async def one(work: Any) -> Any:
        async with gate:
            return await work

    return await asyncio.gather(*(one(work) for work in works))


@asynccontextmanager
async def opened(world: WobWorld, task: str, seed: int = 1) -> AsyncIterator[tuple[WobPage, View, Tab]]:
    """An episode's page, started in a tab of its own to act on directly, and what it first shows."""
    episode = await world.episode(sample(task), {}, seed)
    tab = await world.pool.tab()
    try:
        page = WobPage(tab, episode.url, beyond=episode.beyond)
        yield page, await page.start(seed), tab
    finally:
        await tab.close()


async def over_seeds(
    world: WobWorld, task: str, check: Callable[[WobPage, View], Any], seeds: int = 20
) -> list[Any]:
    """Start the instances of many seeds on one page, each freshly loaded, and look at each."""
    async with opened(world, task) as (page, *_):
        return [await check(page, await page.start(seed)) for seed in range(seeds)]


async def play(world: WobWorld, ctx: Context, task: str, seed: int) -> Score:
    episode, oracle = await world.episode(sample(task), {}, seed), TASK.oracle(ctx, sample(task))
    try:
        observation = await episode.reset()
        for _ in range(TASK.spec.limits.turns):
            if observation.done:
                break
            observation = await episode.step(Reply(await oracle.reply(observation)))
        return await episode.score()
    finally:
        await episode.close()


# -- the same first page


async def first_pages(world: WobWorld, tasks: list[str], seed: int) -> dict[str, str]:
    async def one(task: str) -> tuple[str, str]:
        async with opened(world, task, seed) as (_, first, _):
            seen = json.dumps([first.html, first.utterance, first.fields])
            return task, hashlib.sha256(seen.encode()).hexdigest()

    return dict(await together([one(task) for task in tasks]))


async def print_first_pages(data: str, work: str, step: str) -> None:
    """What the other process of the test below runs."""
    async with TASK.world(context(Path(data), Path(work))) as world:
        sys.stdout.write(json.dumps(await first_pages(world, listed(Path(data), int(step)), 11)))


@pytest.mark.parametrize("step", SOME)
async def test_a_seed_gives_one_first_page_in_every_process(
    world: WobWorld, mirror: Path, tmp_path: Path, step: int
):
    code = (
        "import asyncio, runpy, sys; "
        "asyncio.run(runpy.run_path(sys.argv[1])['print_first_pages'](*sys.argv[2:]))"
    )
    argv = [sys.executable, "-c", code, __file__, str(mirror / "miniwob"), str(tmp_path), str(step)]
    here = os.pathsep.join([str(Path(__file__).parents[1] / "support"), *sys.path])
    env = os.environ | {"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "LANG": "C", "PYTHONPATH": here}
    other = await asyncio.to_thread(subprocess.run, argv, env=env, capture_output=True, timeout=200)
    assert other.returncode == 0, other.stderr.decode()
    here = await first_pages(world, listed(mirror / "miniwob", step), 11)
    assert len(here) >= 12
    assert json.loads(other.stdout) == here


async def test_another_seed_gives_another_page(world: WobWorld):
    tasks = ["click-checkboxes", "email-inbox", "social-media-all", "navigate-tree", "terminal"]
    one, two = [await first_pages(world, tasks, seed) for seed in (1, 2)]
    assert all(one[task] != two[task] for task in tasks)


# -- what the released evaluation changed


def partly_right(task: str) -> Check:
    """Set all boxes right but one and press Submit; an unchanged page pays most of the reward for it."""

    async def check(page: WobPage, view: View) -> float:
        await page.act(MiniWobAction("clickxpath", '//*[@id="ch0"]'))  # ends on the wrong side
        for instruction in scripted(task, view):
            action = parse(instruction)
            assert action is not None
            await page.act(action)
        return (await page.look(view, missed=False)).reward

    return check


@pytest.mark.parametrize("task", pages.CHECKBOXES)
async def test_a_partly_right_answer_pays_nothing(world: WobWorld, task: str):
    """All boxes are set right but one, and Submit is pressed: an unchanged page pays most of the reward."""

    async def check(page: WobPage, view: View) -> float:
        script = scripted(task, view)
        await page.act(MiniWobAction("clickxpath", '//*[@id="ch0"]'))  # turns one box to the wrong side
        for instruction in script:
            action = parse(instruction)
            assert action is not None
            await page.act(action)
        return (await page.look(view, missed=False)).reward

    rewards = await over_seeds(world, task, check)
    assert len(rewards) == 20
    assert max(rewards) <= 0


def scripted(task: str, view: View) -> list[str]:
    """What the oracle would do on a page that needs no second look."""
    from tasks.miniwob.policies import POLICIES, PageContent

    sight = PageContent()
    sight.update(view.utterance, view.html, view.fields)
    return list(POLICIES[task](sight))


async def count(page: WobPage, view: View, needle: str) -> int:
    del page
    return view.html.count(needle)


@pytest.mark.parametrize(
    ("task", "needle", "counts"),
    [
        ("email-inbox", 'class="email-thread"', {3, 4, 5}),
        pytest.param("email-inbox-forward-nl", 'class="email-thread"', {3, 4, 5}, marks=pytest.mark.slow),
        ("email-inbox-nl-turk", 'class="email-thread"', {3}),
        pytest.param("email-inbox-forward-nl-turk", 'class="email-thread"', {3}, marks=pytest.mark.slow),
        ("social-media", 'class="media"', {3}),
        ("social-media-all", 'class="media"', {3, 4, 5}),
        pytest.param("social-media-some", 'class="media"', {3, 4, 5}, marks=pytest.mark.slow),
    ],
)
async def test_lists_are_short(world: WobWorld, task: str, needle: str, counts: set[int]):
    found = await over_seeds(world, task, lambda page, view: count(page, view, needle))
    assert len(found) == 20
    assert set(found) == counts


async def test_algebra_only_adds(world: WobWorld):
    async def problem(page: WobPage, view: View) -> str:
        del page
        return view.html.split('id="math-problem"')[1].split(">")[1].split("<")[0]

    found = await over_seeds(world, "simple-algebra", problem)
    assert len(found) == 20
    assert all("+" in text and "-" not in text for text in found)


async def test_the_list_names_its_options_and_the_terminal_takes_arguments(world: WobWorld):
    async with opened(world, "choose-list") as (_, first, _):
        options = [part.split("<")[0] for part in first.html.split("<option")[1:]]
        names = ",".join(option.split(">")[1] for option in options)
        assert f'class="{names}"' in first.html
    async with opened(world, "terminal") as (page, first, _):
        for action in (MiniWobAction("type", "ls -la"), MiniWobAction("press", "enter")):
            await page.act(action)
        view = await page.look(first, missed=False)
        assert "not understood" not in view.html
        name = re.findall(r'class="output"[^>]*>([^<]*)<', view.html)[-1].split()[0]
        for action in (MiniWobAction("type", f"rm -f {name}"), MiniWobAction("press", "enter")):
            await page.act(action)
        assert (await page.look(first, missed=False)).done


@pytest.mark.parametrize("step", SOME)
async def test_no_page_times_out_within_five_minutes(world: WobWorld, mirror: Path, step: int):
    async def after(task: str, maximum: int | None) -> tuple[str, View]:
        episode = await world.episode(sample(task), {}, 3)
        try:
            tab = await world.pool.tab()
            await tab.call(tab.page.clock.install())
            page = WobPage(tab, episode.url, beyond=episode.beyond)
            if maximum is None:
                first = await page.start(3)
            else:
                await page.start(3)
                first = await page.start(3, maximum)
            await tab.call(tab.page.clock.fast_forward(300_000))
            view = await page.look(first, missed=False)
            await tab.close()
            return task, view
        finally:
            await episode.close()

    found = dict(await together([after(task, None) for task in listed(mirror / "miniwob", step)]))
    assert len(found) >= 12
    assert [task for task, view in found.items() if view.done] == []
    # The package's own limit is ten seconds; with it the same clock ends the episode.
    assert (await after("click-test", 10_000))[1].reason == "timed out"


async def test_the_changes_fit_the_installed_pages_only():
    html = pages.package_html()
    for task in pages.CHANGES:
        source = pages.location(html, task).read_text(encoding="utf-8")
        assert pages.changed(task, source) != source
        with pytest.raises(DataError, match="not the page known here"):
            pages.changed(task, "<html></html>")


# -- actions and playing


async def test_an_xpath_without_a_match_costs_no_wait(world: WobWorld):
    async with opened(world, "click-test") as (page, first, _), asyncio.timeout(20):
        # The released driver waited five seconds for each of these.
        for xpath in ["//nothing", "][", "//button/text()", "count(//button)", "//*[@id='none']"] * 8:
            assert await page.act(MiniWobAction("clickxpath", xpath)) is False
        assert (await page.look(first, missed=True)).reward == 0


@pytest.mark.parametrize(
    "instruction",
    [
        "clickxpath " + "(" * 5000 + "//a",
        "clickxpath //*[contains(., '\x00')]",
        "type \x00\x07 \U0001f600 中 é\n" + "x" * 100_000,
        "press arrowleft",
        "movemouse //*",
        "clickoption //option",
    ],
)
async def test_hostile_instructions_leave_the_page_alive(world: WobWorld, instruction: str):
    action = parse(instruction)
    assert action is not None
    async with opened(world, "enter-text") as (page, first, _):
        await page.act(MiniWobAction("clickxpath", "//input"))
        await page.act(action)
        assert (await page.look(first, missed=False)).html


async def test_a_covered_button_gets_the_key(world: WobWorld):
    async with opened(world, "click-test") as (page, first, tab):
        cover = "position:fixed;inset:0;z-index:99999"
        await tab.call(
            tab.page.evaluate(
                f"document.body.append(Object.assign(document.createElement('i'), {{style: '{cover}'}}))"
            )
        )
        assert await page.act(MiniWobAction("clickxpath", "//button"))
        assert (await page.look(first, missed=False)).raw == 1


@pytest.mark.parametrize("step", SOME)
async def test_the_oracle_solves_the_listed_pages(world: WobWorld, mirror: Path, tmp_path: Path, step: int):
    await sweep(world, mirror, tmp_path, range(1), step)


@pytest.mark.full
@pytest.mark.timeout(900)
async def test_the_oracle_solves_the_pages_on_five_seeds(world: WobWorld, mirror: Path, tmp_path: Path):
    await sweep(world, mirror, tmp_path, range(100, 105))


async def sweep(world: WobWorld, mirror: Path, work: Path, seeds: range, step: int = 1) -> None:
    ctx, tasks = context(mirror / "miniwob", work), listed(mirror / "miniwob", step)
    pairs = [(task, seed) for task in tasks for seed in seeds]
    scores = await together([play(world, ctx, task, seed) for task, seed in pairs])
    lost = {task for (task, _), score in zip(pairs, scores, strict=True) if score.value < 1}
    assert len(lost) <= 3, lost


async def test_an_empty_reply_is_asked_again_and_then_counts(world: WobWorld):
    episode = await world.episode(sample("click-button"), {}, 1)
    episode.rules = replace(episode.rules, empty_asks=3)
    observation, asked = await episode.reset(), 0
    while not observation.done:
        asked += 1
        observation = await episode.step(Reply("  "))
    score = await episode.score()
    await episode.close()
    assert asked == 3 * 8
    assert (score.value, score.outcome, score.metrics["dropped_upstream"]) == (0, "model_error", 1)


async def test_an_xpath_that_never_ends_is_the_models_failure(
    world: WobWorld, monkeypatch: pytest.MonkeyPatch
):
    """Counting all pairs of pairs of nodes takes Chromium longer than anybody waits."""
    xpath = "//*[count(//*[count(//*[count(//*[count(//*[count(//*)>0])>0])>0])>0])>0]"
    episode = await world.episode(sample("email-inbox"), {}, 1)
    try:
        observation = await episode.reset()
        observation = await episode.step(Reply("1. Click on it."))
        # From here on the page is given up sooner than in a run.
        monkeypatch.setattr(world.pool, "settings", replace(world.pool.settings, call_s=2.0))
        for _ in range(3):
            if observation.done:
                break
            observation = await episode.step(Reply(f"clickxpath {xpath}"))
        score = await episode.score()
    finally:
        await episode.close()
    assert observation.done
    assert (score.value, score.outcome, score.note) == (0.0, "model_error", "ended: stuck")


async def test_the_packages_own_pages_play_too(mirror: Path, tmp_path: Path):
    ctx = context(mirror / "miniwob", tmp_path, variant="farama", trials=1)
    samples = samples_of(TASK, ctx, "test")
    assert len(samples) == len({s.id for s in samples}) > 125
    async with TASK.world(ctx) as world:
        for task in ("use-autocomplete", "flight.Alaska"):
            async with opened(world, task) as (_, first, _):
                assert first.utterance
        async with opened(world, "email-inbox-nl-turk") as (page, *_):
            found = [(await page.start(seed)).html.count('class="email-thread"') for seed in range(8)]
            assert max(found) > 3
        # The package pays for a partly right answer; the corrected rule does not take it for a success.
        rewards = await over_seeds(world, "click-checkboxes-large", partly_right("click-checkboxes-large"), 2)
        assert min(rewards) > 0


@pytest.mark.full
async def test_every_page_of_the_package_starts(mirror: Path, tmp_path: Path):
    ctx = context(mirror / "miniwob", tmp_path, variant="farama", trials=1)
    async with TASK.world(ctx) as world:

        async def one(s: Sample) -> str:
            async with opened(world, s.data["task"]) as (_, first, _):
                return first.utterance

        goals = await together([one(s) for s in samples_of(TASK, ctx, "test")])
    assert all(goals)
