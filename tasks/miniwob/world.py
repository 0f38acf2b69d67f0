"""What MiniWoB++ episodes share in a run: the laid-out pages, the prompts and a pool of browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.episode import BaseWorld
from harness.types import Capacity, Chat, Context, Sample
from tasks._shared.browser import BrowserPool, BrowserSettings
from tasks.miniwob import pages
from tasks.miniwob.episode import WobEpisode
from tasks.miniwob.prompts import MiniWobPrompts
from tasks.miniwob.protocol import MiniWobRules

# Tiny pages of files: fewer helper processes per browser, which is what memory goes to here.
_LEAN = (
    "--in-process-gpu",
    "--disable-software-rasterizer",
    "--enable-features=NetworkServiceInProcess2",
)
# The flight sites show a page in a frame; without this, Chromium keeps files apart from each other.
_FRAMES = ("--allow-file-access-from-files",)


class WobWorld(BaseWorld):
    """Builds episodes; `fingerprint` names browser, package and pages."""

    capacity = Capacity(memory_mb=48, cpu=0.1)

    def __init__(
        self, pool: BrowserPool, html: Path, prompts: MiniWobPrompts, rules: MiniWobRules, variant: str
    ) -> None:
        self.pool = pool
        self._html = html
        self._prompts = prompts
        self._rules = rules
        self._variant = variant
        self.fingerprint: Mapping[str, str] = {
            "browser": pool.version,
            "miniwob": version("miniwob"),
            "pages": pages.fingerprint(html),
        }

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> WobEpisode:
        """Build an episode; the instance is the page's own under the seed's low 32 bits."""
        del chats
        task = sample.data["task"]
        strict = self._variant == "farama" and task in pages.CHECKBOXES
        return WobEpisode(
            pool=self.pool,
            prompts=self._prompts,
            rules=replace(self._rules, strict=strict),
            task=task,
            url=pages.location(self._html, task).as_uri(),
            seed=seed & 0xFFFF_FFFF,
            beyond=task in pages.BEYOND,
        )


@asynccontextmanager
async def open_world(ctx: Context) -> AsyncIterator[WobWorld]:
    """Lay out the pages, warm one browser, and leave nothing behind."""
    variant = ctx.options.variant
    html = pages.package_html()
    if variant == "agenttuning":
        html = pages.lay_out(html, ctx.work / "html")
    settings = BrowserSettings(
        allow=(html.as_uri() + "/",),
        # The size of the released environment's task area; the flight sites are larger.
        viewport=(320, 320) if variant == "agenttuning" else (500, 667),
        flags=_LEAN if variant == "agenttuning" else (*_LEAN, *_FRAMES),
    )
    async with BrowserPool(settings) as pool:
        await (await pool.tab()).close()
        yield WobWorld(pool, html, MiniWobPrompts(ctx.data), rules(ctx), variant)


def rules(ctx: Context) -> MiniWobRules:
    """The rules of an episode under a run's options."""
    names = (
        "critiques",
        "repairs",
        "grounding",
        "max_steps",
        "empty_asks",
        "noop_on_miss",
        "page_chars",
        "truncate",
    )
    chosen: dict[str, Any] = {name: getattr(ctx.options, name) for name in names}
    return MiniWobRules(**chosen, paper=ctx.profile == "paper")
