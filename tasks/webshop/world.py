"""What all visits of a run share: the opened catalogue, its search and the rules of the reward."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import TypeVar

from harness.episode import BaseWorld
from harness.seeds import derive
from harness.types import Ask, Capacity, Chat, Context, Sample
from tasks.webshop import colors, nouns, prompts, score
from tasks.webshop.catalogue import FULL, ShopCatalogue, bounds, open_catalogue
from tasks.webshop.episode import MAX_NEW_TOKENS, BrokenSearch, VisitRules, WebShopEpisode
from tasks.webshop.fuzz import ratio_of
from tasks.webshop.index import HITS
from tasks.webshop.rows import ShopGoal
from tasks.webshop.shop import Visit

CONTEXT = 4096
"""Tokens of the paper's server; upstream asks it to cut prompts to what the reply leaves of them."""

THREADS = 2

T = TypeVar("T")


class WebShopWorld(BaseWorld):
    """One catalogue for all episodes."""

    capacity = Capacity(memory_mb=1, cpu=0.02)

    def __init__(self, ctx: Context, shop: ShopCatalogue, threads: ThreadPoolExecutor) -> None:
        self.shop, self._options, self._threads = shop, ctx.options, threads
        words, original = colors.load(ctx.data)
        self._score = score.ShopRules(ratio_of(ctx.options.fuzz), words)
        self._nouns = nouns.choose(ctx.options.nouns, shop.folder)
        self._prompts = prompts.load(ctx.data)
        self._ask = Ask(MAX_NEW_TOKENS, truncate=CONTEXT - MAX_NEW_TOKENS if ctx.profile == "paper" else None)
        self.fingerprint = {
            "catalogue": shop.manifest["sha256"],
            "prompts": self._prompts.digest,
            "nouns": f"{self._nouns.name} {self._nouns.digest}".strip(),
            "colors": "upstream" if original else "stand-in",
        }
        self.stand_ins = (
            *(() if self._nouns.model else ("a rule of thumb for spaCy's tagger",)),
            *(() if original else ("a list of colours of our own for upstream's",)),
        )
        self.comparable = _lack(ctx, self._nouns)

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> WebShopEpisode:
        """Build an episode; the run's seed moves no price, only the random page of a back door."""
        del chats
        goal: ShopGoal = sample.data["goal"]
        rules = VisitRules(
            self._prompts,
            self._ask,
            self._options.parser,
            self._options.max_turns,
            partial(self._search, seed),
            partial(self._value, goal),
        )
        return WebShopEpisode(Visit(self.shop, goal.instruction(self._options.prices)), rules)

    async def _search(self, seed: int, text: str) -> Sequence[int]:
        found = _back_door(self.shop, text, seed) if self._options.backdoors else None
        return await self._aside(found or partial(self.shop.search, text))

    async def _value(self, goal: ShopGoal, visit: Visit) -> Mapping[str, float]:
        return await self._aside(partial(self._parts, goal, visit))

    def _parts(self, goal: ShopGoal, visit: Visit) -> Mapping[str, float]:
        one, doc, drawn = visit.item, visit.doc or 0, self._options.prices
        bought = score.Purchase(
            one, one.price(drawn), list(visit.options.values()), self._nouns.of(doc, one.title)
        )
        wanted = score.Wanted(goal, goal.cap(drawn), self._nouns.of(goal.doc, goal.title))
        return score.reward(bought, wanted, self._score)

    async def _aside(self, work: Callable[[], T]) -> T:
        """Do what may take long beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _lack(ctx: Context, found: nouns.ProductNouns) -> str:
    """Why the scores cannot stand beside the published ones; empty when they can."""
    if bounds(ctx.data, ctx.split)[0] != FULL:
        return "the 1,000-product catalogue"
    provider = found.name.partition(" ")[0]
    return "" if provider == "table" and found.model == nouns.PAPER else f"nouns from {found.name}"


def _back_door(shop: ShopCatalogue, text: str, seed: int) -> Callable[[], Sequence[int]] | None:
    """What upstream does for a query whose first word is a mark of its own; None for every other query."""
    mark, *rest = text.split(" ")
    if mark == "<r>":
        count = min(HITS, len(shop))
        return lambda: Random(derive(seed, text)).sample(range(len(shop)), count)
    if mark == "<a>" or (mark == "<c>" and not rest):
        raise BrokenSearch(f"upstream's environment fails on the query {text[:80]!r}")
    if mark == "<c>":
        return lambda: shop.where("category", rest[0].strip())
    if mark == "<q>":
        return lambda: shop.where("query", " ".join(rest).strip())
    return None


@asynccontextmanager
async def open_world(ctx: Context) -> AsyncIterator[WebShopWorld]:
    """Open the split's catalogue; built first where it is small and not built yet."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="webshop") as threads:
        loop = asyncio.get_running_loop()
        opened = partial(open_catalogue, ctx.data, bounds(ctx.data, ctx.split)[0])
        shop = await loop.run_in_executor(threads, opened)
        yield WebShopWorld(ctx, shop, threads)
