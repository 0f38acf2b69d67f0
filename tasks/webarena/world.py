"""What WebArena episodes share in a run: browsers behind a proxy, the sites, stored logins and prompts."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from harness.data import core_path
from harness.episode import BaseWorld
from harness.tokens import CL100K_FILE, cl100k_head
from harness.types import Capacity, Chat, Context, Sample
from tasks._shared.browser import BrowserPool, BrowserSettings, FilteringProxy
from tasks.webarena import config, rows
from tasks.webarena.browse import CALL_S, Pace
from tasks.webarena.config import ArenaConfig
from tasks.webarena.episode import ArenaEpisode, ArenaKit, ArenaRules
from tasks.webarena.helpers import Helpers
from tasks.webarena.judge import RecordedJudge
from tasks.webarena.login import Logins
from tasks.webarena.options import PUBLISHED_BY, WebArenaOptions
from tasks.webarena.prompts import WebArenaPrompts
from tasks.webarena.reader import VIEWPORT, Reading
from tasks.webarena.restore import Restorer
from tasks.webarena.sites import STATEFUL

if TYPE_CHECKING:
    from tasks.webarena.testsites.state import StateBook

FIXTURE = Path(__file__).with_name("fixture")
CONTEXTS = 12
"""Live contexts of one browser; measured, more make its own process the bottleneck."""

RECYCLE = 100
OWN_PACE = Pace(quiet_s=0.1, cap_s=10.0)
"""The own sites' pages change nothing by themselves, and rest at once."""

OWN = "WebArena's sites: seven small ones of the harness's own on loopback"
RECORDED = "the judge: recorded verdicts on the own sites' answers"
OTHER_MAP = "the wiki and the map are not those of 2023: 134 tasks use them"


class ArenaWorld(BaseWorld):
    """Builds episodes. An action on a shop cannot be taken back, so nothing is ever replayed.

    Attributes:
        undo: takes back an attempt that broke off: the own sites' states, or the way to restore real ones.
    """

    capacity = Capacity(memory_mb=110, cpu=0.2)
    replayable = False

    def __init__(self, kit: ArenaKit, fingerprint: Mapping[str, str], undo: StateBook | Restorer) -> None:
        self.kit, self.fingerprint, self.undo = kit, fingerprint, undo
        self._acted: dict[str, set[str]] = {}
        self._begun: set[str] = set()

    def acted(self, sample: str, mark: str) -> None:
        """Remember that an attempt at a sample may have changed a site."""
        self._acted.setdefault(sample, set()).add(mark)

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> ArenaEpisode:
        """Build an episode; a page is the same under every seed."""
        del chats, seed
        row = rows.placed(sample.data["row"], self.kit.sites.filled)
        self._begun.add(sample.id)
        return ArenaEpisode(row, sample.id, self.kit)

    async def restore(self, sample: Sample) -> str:
        """Undo what an attempt that broke off may have left on a site, or say why it was not undone."""
        if not isinstance(self.undo, Restorer):
            for mark in self._acted.pop(sample.id, ()):
                self.undo.reset(mark)
            return "the own sites forgot what the attempt before did"
        row: rows.ArenaRow = sample.data["row"]
        touched = [site for site in STATEFUL if site in row.touched]
        if not touched:
            return "nothing to restore: none of its sites keeps what visitors do"
        if sample.id in self._begun and sample.id not in self._acted:  # else another process played it
            return "nothing to restore: the attempt before had not acted"
        if not sample.locks:
            return f"{', '.join(touched)} not restored: the task only reads, and others may be reading there"
        return await self.undo.restore(touched)


@asynccontextmanager
async def open_world(ctx: Context, own: bool) -> AsyncIterator[ArenaWorld]:
    """Start proxy and browsers, and the own sites where they are played; leave nothing behind.

    Args:
        ctx: the run's part.
        own: play on the own sites.
    """
    prompts = WebArenaPrompts(FIXTURE if own else ctx.data)
    prompts.check()
    async with AsyncExitStack() as stack:
        deployed, undo = config.load(legacy=ctx.options.url_map == "legacy") if not own else None, None
        if own:
            from tasks.webarena.testsites.serve import open_sites

            served = await stack.enter_async_context(open_sites(prompts.accounts))
            deployed, undo = ArenaConfig(served.sites, "own"), served.book
        assert deployed is not None
        proxy = await stack.enter_async_context(FilteringProxy(deployed.sites.allowed))
        settings = BrowserSettings(
            viewport=VIEWPORT,
            contexts=CONTEXTS,
            episodes=RECYCLE,
            call_s=CALL_S,
            proxy=proxy.address,
            many_pages=True,
            folder=ctx.work / "browser",
        )
        pool = await stack.enter_async_context(BrowserPool(settings))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await (await pool.tab()).close()
        yield _world(ctx, deployed, pool, session, undo or Restorer(deployed, lambda: pool.live > 0))


def _world(
    ctx: Context,
    deployed: ArenaConfig,
    pool: BrowserPool,
    session: aiohttp.ClientSession,
    undo: StateBook | Restorer,
) -> ArenaWorld:
    own, options = not isinstance(undo, Restorer), ctx.options
    prompts = WebArenaPrompts(FIXTURE if own else ctx.data)
    recorded = options.judge == "recorded" or (options.judge == "auto" and own)
    owner = prompts.accounts["shopping_site_admin"]
    world: ArenaWorld

    kit = ArenaKit(
        pool=pool,
        prompts=prompts,
        sites=deployed.sites,
        rules=rules(options),
        pace=_pace(options.settle, own),
        reading=Reading(
            options.compat,
            options.obs_filter,
            options.ids == "browser",
            asyncio.Semaphore(os.cpu_count() or 2),
        ),
        logins=Logins(pool, deployed.sites, prompts.accounts, probe=not own),
        helpers=lambda headers: Helpers(deployed.sites, session, owner, headers),
        cut=cutter(ctx, own),
        recorded=RecordedJudge(_verdicts()) if recorded else None,
        marked="X-Episode" if own else "",
        acted=lambda sample, mark: world.acted(sample, mark),
    )
    facts = {
        "browser": pool.version,
        "evaluators": options.evaluators,
        "settle": options.settle,
        "sites": deployed.edition,
        "judge": "recorded" if recorded else "judge",
    }
    world = ArenaWorld(kit, facts, undo)
    if own:
        world.stand_ins = (OWN, RECORDED) if recorded else (OWN,)
    elif deployed.edition != "2023":
        world.comparable = OTHER_MAP
    world.notes = (told(facts),)
    return world


def told(facts: Mapping[str, str]) -> str:
    """What a reader of the number must know of how it was got; the judge's name is part of the metric's."""
    names = ("evaluators", "browser", "settle", "sites")
    how = ", ".join(f"{name} {facts[name].partition(' (')[0]}" for name in names)  # not where its program is
    judge = "judged by recorded verdicts, " if facts["judge"] == "recorded" else ""
    return f"{how}; {judge}published by {PUBLISHED_BY}, whose version of then is gone"


def rules(options: WebArenaOptions) -> ArenaRules:
    """The rules of an episode under a run's options."""
    return ArenaRules(
        edition="v2024" if options.evaluators == "v2024" else "v2023",
        max_steps=options.max_steps,
        strict_stop=options.strict_stop,
        crashes=options.crashes,
        lenient=options.lenient_actions,
    )


def _pace(settle: str, own: bool) -> Pace:
    if settle == "fixed":
        return Pace(fixed_s=2.5)
    return OWN_PACE if own else Pace()


def cutter(ctx: Context, own: bool) -> Callable[[str], str]:
    """Cut what is shown of a page to its first tokens.

    On the own sites, which need no download, a third of the characters stands for the tokens.
    """
    most = ctx.options.max_obs_length
    if own:
        return lambda text: text[: 3 * most]
    vocabulary = core_path(CL100K_FILE, ctx)
    return lambda text: cl100k_head(text, most, vocabulary)


def _verdicts() -> Mapping[str, frozenset[str]]:
    found = json.loads((FIXTURE / "testsites" / "verdicts.json").read_text(encoding="utf-8"))
    return {reference: frozenset(answers) for reference, answers in found.items()}
