"""WebArena on its own sites in a real browser: what is scored, what an action does, what ends an episode."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from process_tree import kill_renderers
from webarena_kit import Arena, arena, entry, fence, with_rules

from harness.errors import EnvironmentFault
from harness.types import Pending, Reply, Score, Verdict
from tasks._shared.browser import find_browser
from tasks.webarena.episode import ArenaEpisode
from tasks.webarena.task import TASK
from tasks.webarena.testsites.state import StateBook

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
    pytest.mark.skipif(find_browser() is None and not os.environ.get("CI"), reason="no Chromium on PATH"),
]

WIDTH = 6
"""Episodes at the same time; the machine that tests has two cores."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arena]:
    async with arena(tmp_path_factory.mktemp("arena")) as opened:
        yield opened


async def values(opened: Arena, ids: list[str], replies: list[str]) -> dict[str, float]:
    gate = asyncio.Semaphore(WIDTH)

    async def one(name: str) -> float:
        async with gate:
            return (await opened.play(opened.samples[name], replies)).value

    found = await asyncio.gather(*map(one, ids))
    return dict(zip(ids, found, strict=True))


async def test_stopping_at_once_is_worth_nothing(own: Arena) -> None:
    assert len(own.samples) >= 28
    found = await values(own, list(own.samples), [fence("stop []")])
    assert {name: value for name, value in found.items() if value} == {}


async def test_a_wrong_answer_and_a_right_answer_in_a_wrong_state_are_worth_nothing(own: Arena) -> None:
    asked = [name for name, sample in own.samples.items() if "string_match" in sample.data["row"].types]
    found = await values(own, asked, [fence("stop [zxqv]")])
    assert set(found.values()) == {0.0}
    at_the_wrong_place = await own.play(own.samples["9"], [fence("stop [Bags]")])
    assert at_the_wrong_place.value == 0
    without_saving = ["click [{link:Products}]", "stop [Felt, out of stock]"]
    assert (await own.play(own.samples["14"], [fence(text) for text in without_saving])).value == 0


async def test_what_one_episode_writes_the_next_does_not_see(own: Arena) -> None:
    first, second = await own.play(own.samples["8"]), await own.play(own.samples["13"])
    assert (first.value, second.value) == (1.0, 1.0)
    assert "Reviews: 3" in second.page(0)


async def test_a_popup_opens_a_tab_and_stays_in_the_back(own: Arena) -> None:
    played = await own.play(own.samples["20"])
    lines = [observation.messages[-1].content for observation in played.shown[:-1]]
    assert "Tab 0 (current): My starter is 9 years old | Tab 1: Sourdough\n" in lines[2]
    assert "Tab 0: My starter is 9 years old | Tab 1 (current): Sourdough\n" in lines[3]
    assert "URL: http://wikipedia.org/wiki/Sourdough" in lines[3]
    assert "PREVIOUS ACTION: page_focus [1]" in lines[3]
    assert played.value == 1.0


async def test_several_start_pages_are_tabs(own: Arena) -> None:
    played = await own.play(own.samples["10"], [fence("stop []")])
    assert "Tab 0 (current): Wire Bin | Tab 1: Oak Ruler" in played.page(0)


async def test_running_out_of_steps_passes_a_zero_only_by_the_released_rule(own: Arena) -> None:
    replies = [fence("scroll [down]"), fence("scroll [up]")] * 5
    played = await with_rules(own, max_steps=10).play(own.samples["3"], replies)
    assert isinstance(played.score, Score)
    assert (played.score.value, played.score.outcome, played.score.metrics["strict"]) == (1.0, "limit", 0.0)
    strict = await with_rules(own, max_steps=10, strict_stop=True).play(own.samples["3"], replies)
    assert strict.value == 0.0


@pytest.mark.parametrize(
    ("replies", "ended", "outcome", "steps"),
    [
        (["no fence"], "unread", "model_error", 3),
        ([fence("scroll [down]")], "same", "limit", 3),
        ([fence("type [1] [a] [0]"), fence("scroll [up]"), fence("type [1] [b] [0]")], "typed", "limit", 4),
        (["``````"], "crash", "model_error", 1),
        ([fence("type [1] [5 €]")], "crash", "model_error", 1),
    ],
)
async def test_early_ends(own: Arena, replies: list[str], ended: str, outcome: str, steps: int) -> None:
    played = await own.play(own.samples["0"], replies)
    assert isinstance(played.score, Score)
    assert (played.episode.ended, played.score.outcome, played.score.value) == (ended, outcome, 0.0)
    assert played.score.metrics["steps"] == steps
    assert played.score.metrics["errored"] == float(ended == "crash")


async def test_the_corrected_rules_read_on_where_the_released_ones_crash(own: Arena) -> None:
    relaxed = with_rules(own, crashes=False, lenient=True)
    played = await relaxed.play(
        own.samples["0"], ["``````", fence("scroll [direction=down]"), fence("stop [$34.50]")]
    )
    assert played.value == 1.0
    assert "PREVIOUS ACTION: scroll [down]" in played.page(2)


async def test_lines_on_the_last_action(own: Arena) -> None:
    replies = [
        "hm",
        fence("click [999]"),
        fence("goto [http://evil.test/]"),
        fence("press [Ctrl+v]"),
        fence("stop []"),
    ]
    played = await own.play(own.samples["0"], replies)
    last = [one.messages[-1].content.partition("PREVIOUS ACTION: ")[2] for one in played.shown[:-1]]
    assert last[0] == "None"
    assert last[1].startswith('Your reply was "hm"')
    assert last[2] == 'Tried to "click" element "[999]", which is not on the page.'
    assert last[3] == "goto [http://evil.test/]"
    assert last[4] == "press [Ctrl+v]"
    assert isinstance(played.score, Score) and played.score.metrics["failed_actions"] == 3


async def test_shown_addresses_lead_to_the_real_ones(own: Arena) -> None:
    played = await own.play(own.samples["30"])
    urls = [o.messages[-1].content.partition("URL: ")[2].partition("\n")[0] for o in played.shown[:-1]]
    assert urls[:3] == ["http://openstreetmap.org/", "http://homepage.com/", "http://onestopmarket.com/"]
    assert not any("127.0.0.1" in observation.messages[-1].content for observation in played.shown[:1])


async def test_a_judge_decides_what_the_live_page_left_open(own: Arena) -> None:
    asking = with_rules(own)
    asking.world.kit = replace(asking.world.kit, recorded=None)
    played = await asking.play(own.samples["15"])
    pending = played.score
    assert isinstance(pending, Pending) and pending.partial is not None
    assert [item.info["kind"] for item in pending.items] == ["infer"]
    assert pending.partial.value == 1.0
    for text, value in (("Yes", 1.0), ("No", 0.0)):
        resolved = TASK.resolve(own.ctx, pending, [Verdict(pending.items[0].key, 0, text)])
        assert (resolved.value, resolved.metrics["strict"]) == (value, value)
    wrong = await asking.play(own.samples["15"], [fence("stop [twelve pencils]")])
    assert wrong.value == 0.0, "the part without a judge failed, so none is asked"


async def test_a_task_whose_start_page_is_down_is_no_zero(own: Arena) -> None:
    with pytest.raises(EnvironmentFault, match="start page"):
        await own.play(own.sample(entry("http://127.0.0.1:9/")), [fence("stop []")])


async def test_after_an_attempt_that_broke_off_the_sites_forget_it(tmp_path: Path) -> None:
    async with arena(tmp_path) as opened:
        book = opened.world.undo
        assert isinstance(book, StateBook)
        sample = opened.samples["8"]
        await opened.play(sample)
        assert book.writes() == [1], "the write is there once"
        assert opened.world.replayable is False
        assert await opened.world.restore(sample)
        assert book.writes() == []
        assert book.resets == 1


async def test_16_at_once_equal_16_alone(own: Arena) -> None:
    ids = list(own.samples)[:16]
    alone = [await own.play(own.samples[name]) for name in ids[:4]]
    together = await asyncio.gather(*(own.play(own.samples[name]) for name in ids))
    assert [played.value for played in together] == [1.0] * 16
    for one, other in zip(alone, together[:4], strict=True):
        texts = [[m.content for o in played.shown for m in o.messages] for played in (one, other)]
        assert texts[0] == texts[1]


async def test_a_browser_killed_after_a_write_is_a_fault_and_the_write_is_there_once(tmp_path: Path) -> None:
    async with arena(tmp_path) as opened:
        sample = opened.samples["8"]
        oracle, episode = TASK.oracle(opened.ctx, sample), await opened.world.episode(sample, {}, 0)
        shown = await episode.reset()
        for _ in range(5):
            shown = await episode.step(Reply(await oracle.reply(shown)))
        book = opened.world.undo
        assert isinstance(book, StateBook)
        assert book.writes() == [1]
        for pid in opened.world.kit.pool.pids():
            os.kill(pid, 9)
        with pytest.raises(EnvironmentFault):
            await episode.step(Reply(fence("scroll [down]")))
        await episode.close()
        assert book.writes() == [1]
        assert await opened.world.restore(sample)
        assert (await opened.play(sample)).value == 1.0


async def crash(episode: ArenaEpisode) -> None:
    """End the process that shows the current page, as too much work for it does."""
    assert episode.browser is not None
    page = episode.browser.page
    gone, wire = asyncio.Event(), await page.context.new_cdp_session(page)
    page.on("crash", lambda _: gone.set())
    sending = asyncio.ensure_future(wire.send("Page.crash"))
    await asyncio.wait_for(gone.wait(), 60)
    sending.cancel()


async def test_a_page_that_crashes_after_an_action_is_gone_and_the_model_goes_on(own: Arena) -> None:
    episode = await own.world.episode(own.samples["0"], {}, 0)
    try:
        await episode.reset()
        await episode.step(Reply(fence("scroll [down]")))
        await crash(episode)
        shown = await episode.step(Reply(fence("click [1]")))
        assert "RootWebArea" in shown.messages[-1].content and episode.failed == 1
        shown = await episode.step(Reply(fence("goto [http://onestopmarket.com]")))
        assert "Corner Shop" in shown.messages[-1].content
        await episode.step(Reply(fence("stop [$34.50]")))
        score = await episode.score()
        assert isinstance(score, Score) and (score.value, score.outcome) == (1.0, None)
    finally:
        await episode.close()


async def test_a_page_whose_process_is_killed_from_outside_is_a_fault_at_any_time(own: Arena) -> None:
    episode = await own.world.episode(own.samples["0"], {}, 0)
    try:
        await episode.reset()
        await episode.step(Reply(fence("scroll [down]")))
        assert episode.browser is not None
        gone = asyncio.Event()
        episode.browser.page.on("crash", lambda _: gone.set())
        kill_renderers()
        await asyncio.wait_for(gone.wait(), 60)
        with pytest.raises(EnvironmentFault, match="signal from outside"):
            await episode.step(Reply(fence("click [1]")))
        assert episode.failed == 0
    finally:
        await episode.close()


@pytest.mark.parametrize("action", ["click [1]", "stop [$34.50]"])
async def test_a_page_that_crashes_before_any_action_is_a_fault(own: Arena, action: str) -> None:
    episode = await own.world.episode(own.samples["0"], {}, 0)
    try:
        await episode.reset()
        await crash(episode)
        with pytest.raises(EnvironmentFault, match="start page crashed"):
            await episode.step(Reply(fence(action)))
    finally:
        await episode.close()
