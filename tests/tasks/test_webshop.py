"""WebShop's episodes, from the first page to the score."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

from command import harness
from contexts import samples_of, task_context
from webshop_shelf import product, visit

from harness import data
from harness.data import task_folder
from harness.types import Message, Observation, Reply, Score
from tasks.webshop import prompts
from tasks.webshop.task import TASK

FIXTURE = task_folder("webshop") / "fixture"


def says(text: str) -> Reply:
    return Reply(f"Thought:\nx\n\nAction:\n{text}")


@asynccontextmanager
async def world(tmp_path: Path, split: str = "std", **options: object):
    ctx = replace(task_context(TASK, FIXTURE, tmp_path, source="fixture", **options), split=split)
    async with TASK.world(ctx) as opened:
        yield ctx, opened


async def play(tmp_path: Path, replies: Sequence[str], **options: object) -> tuple[list[Observation], Score]:
    """Play the first goal with these actions, the last one again and again."""
    async with world(tmp_path, **options) as (ctx, opened):
        episode = await opened.episode(samples_of(TASK, ctx)[0], {}, 5)
        seen = [await episode.reset()]
        for turn in range(30):
            if seen[-1].done:
                break
            seen.append(await episode.step(says(replies[min(turn, len(replies) - 1)])))
        return seen, await episode.score()


async def test_the_opening_is_ten_fixed_messages_and_the_first_page(mirror: Path, tmp_path: Path):
    loaded = prompts.load(mirror / "webshop")
    assert loaded.digest == "b7430db76fc109bb6da3bce847738821d2ee16221daa1bcf1201da736c157145"
    opening = loaded.opening(visit(product()))
    assert [message.role for message in opening] == ["user", "assistant"] * 5 + ["user"]
    assert opening[-1] == Message(
        "user",
        "Observation:\nWebShop [SEP] Instruction: [SEP] buy a cup [SEP] Search\n\n"
        "Available Actions:\n{'has_search_bar': True, 'clickables': ['search']}",
    )


async def test_an_invalid_action_takes_a_turn_and_shows_the_page_again(tmp_path: Path):
    seen, score = await play(tmp_path, ["click[search]", "click[nothing]", "search[a [b]"])
    assert len(seen) == 11 and len({one.messages[-1].content for one in seen[:-1]}) == 1
    assert (score.value, score.outcome) == (0.0, "limit")
    assert (score.metrics["invalid_actions"], score.metrics["turns"]) == (10, 10)
    assert seen[-1].done and not seen[-1].messages


async def test_turns_are_an_option(tmp_path: Path):
    seen, score = await play(tmp_path, ["click[search]"], max_turns=3)
    assert len(seen) == 4 and score.outcome == "limit"


async def test_a_reply_without_an_action_ends_the_visit(tmp_path: Path):
    async with world(tmp_path) as (ctx, opened):
        for text in ("", "I buy it. click[buy now]", "Action: click[x]"):
            episode = await opened.episode(samples_of(TASK, ctx)[0], {}, 5)
            await episode.reset()
            assert (await episode.step(Reply(text))).done
            score = await episode.score()
            assert (score.value, score.outcome, score.metrics["format_fail"]) == (0.0, "model_error", 1.0)


async def test_buying_another_product(tmp_path: Path):
    seen, score = await play(tmp_path, ["search[100 2 33]", "click[F000000012]", "click[Buy Now]"])
    assert seen[-1].done and score.outcome is None and score.answer == "F000000012 {}"
    assert score.metrics["bought"] == score.metrics["query_match"] == score.metrics["r_price"] == 1
    assert score.value == score.metrics["r_type"] == 0.0, "figures are no nouns, and nothing makes up for it"
    assert "r_option" not in score.metrics, "the goal asks for none"


async def test_upstreams_marks_are_queries_only_under_fixed(tmp_path: Path):
    for query, total in (("<r> a", 50), ("<c> beauty", 11), ("<q> winter coats", 11), ("<q> crate", 0)):
        seen, _ = await play(tmp_path, [f"search[{query}]"])
        assert f"Total results: {total})" in seen[1].messages[0].content, query
    again, _ = await play(tmp_path, ["search[<r> a]"])
    first, _ = await play(tmp_path, ["search[<r> a]"])
    assert again[1].messages == first[1].messages, "what upstream draws anew is drawn from the seed"
    for query in ("<a> soft", "<c>"):
        seen, score = await play(tmp_path, [f"search[{query}]"])
        assert len(seen) == 2 and score.outcome == "model_error" and "fails on the query" in score.note
    seen, _ = await play(tmp_path, ["search[<q> crate]"], profile="fixed")
    assert "Total results: 5)" in seen[1].messages[0].content


async def test_prices_are_drawn_from_their_own_seed(tmp_path: Path):
    async def first(seed: int, **options: object) -> list[str]:
        async with world(tmp_path, **options) as (ctx, opened):
            texts = []
            for sample in samples_of(TASK, ctx):
                episode = await opened.episode(sample, {}, seed)
                texts.append((await episode.reset()).messages[-1].content)
            return texts

    assert await first(0) == await first(7)
    assert await first(0) != await first(0, prices=234)


async def test_64_visits_at_once_see_what_one_alone_sees(tmp_path: Path):
    """Random walkers, 10,000 steps in all: none raises, and each sees its own shop."""

    async def walk(opened, sample, seed: int) -> list[str]:
        rng, texts = Random(seed), list[str]()
        for _ in range(20):
            episode = await opened.episode(sample, {}, 1)
            shown = await episode.reset()
            while not shown.done:
                texts.append(shown.messages[-1].content)
                labels = [*shown.info["clickables"], "nothing", "search"]
                word = rng.choice(["coat", "fable a", "100", "<r> 1", "\xa0", "★", "a" * 300])
                move = f"click[{rng.choice(labels)}]" if rng.random() < 0.8 else f"search[{word}]"
                shown = await episode.step(says(move))
            texts.append(repr(await episode.score()))
        return texts

    async with world(tmp_path) as (ctx, opened):
        samples = samples_of(TASK, ctx)
        pairs = [(samples[n % len(samples)], n) for n in range(64)]
        together = await asyncio.gather(*(walk(opened, *pair) for pair in pairs))
        assert sum(map(len, together)) > 10_000
        for n in (0, 21, 63):
            assert await walk(opened, *pairs[n]) == together[n]
        goals = {re.search(r"Instruction: \[SEP\] (.*?) \[SEP\]", texts[0])[1] for texts in together}  # type: ignore[index]
        assert goals == {sample.data["goal"].instruction() for sample in samples}


def test_the_oracle_plays_all_13_goals_of_small(mirror: Path, tmp_path: Path):
    run = ("run", "--model", "oracle", "--task", "webshop", "--split", "small", "--seed", "7")
    done = harness(
        tmp_path, *run, "--mirror", str(mirror), "--out", "r", HARNESS_CACHE=str(data.cache_folder())
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(harness(tmp_path, "report", "r", "--format", "json", "--episodes").stdout)
    shop = report["tasks"]["webshop"]
    assert (shop["score"], shop["planned"], shop["scored"]) == (100.0, 13, 13)
    assert [one["value"] for one in shop["episodes"]] == [1.0] * 13


WALK = """
import hashlib
from pathlib import Path
from tasks.webshop.catalogue import open_catalogue
from tasks.webshop.shop import Visit
shop, total = open_catalogue(Path("{data}"), "full"), hashlib.sha256()
visit = Visit(shop, "x")
for query in ("fable", "twin crate", "coat 2"):
    visit.search(shop.search(query))
    for label in ("next >", "next >", "< prev", visit.clickables()[2], "red", "features", "< prev"):
        visit.click(label)
        total.update((visit.text() + visit.available()).encode())
print(total.hexdigest())
"""


def test_two_processes_say_the_same():
    command = [sys.executable, "-c", WALK.format(data=FIXTURE)]
    said = [
        subprocess.run(command, capture_output=True, text=True, timeout=120, check=True) for _ in range(2)
    ]
    assert len({one.stdout for one in said}) == 1 and len(said[0].stdout) == 65
