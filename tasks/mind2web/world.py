"""The worker processes that show pages, and the texts that all steps share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from harness.episode import BaseWorld
from harness.types import Ask, Capacity, Chat, Context, Sample
from harness.worker import Launch, PoolSpec, WorkerPool
from tasks.mind2web import prompts, rows
from tasks.mind2web.episode import MAX_NEW_TOKENS, Mind2WebEpisode, Mind2WebRules
from tasks.mind2web.pool import PageChoice

CONTEXT = 4096
"""Tokens of the paper's server; upstream asks it to cut prompts to what the reply leaves of them."""

WORKERS = 4
SLOTS = 64
USES = 20_000
"""Pages a worker shows before it is replaced."""

MEMORY_MB = 2048.0
RENDER_S = 60.0


class Mind2WebWorld(BaseWorld):
    """Builds episodes; owns the workers."""

    capacity = Capacity(memory_mb=1, cpu=0.03)

    def __init__(self, ctx: Context, pool: WorkerPool) -> None:
        self.pool, self._path = pool, rows.split_file(ctx.data, ctx.split)
        self._prompts, options = prompts.load(ctx.data), ctx.options
        truncate = CONTEXT - MAX_NEW_TOKENS if ctx.profile == "paper" else None
        self._rules = Mind2WebRules(
            Ask(MAX_NEW_TOKENS, truncate=truncate),
            keep_question=options.history == "never_drop_last",
            ask_last=options.ask_last,
            casefold=options.f1_casefold,
        )
        self.fingerprint = {"lxml": version("lxml"), **_known(self._path), "prompt": _digest(self._prompts)}
        self.comparable = f"only the first {options.limit} steps" if options.limit else ""

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> Mind2WebEpisode:
        """Build an episode; the candidates' order belongs to the sample, so the seed changes nothing."""
        del chats, seed
        return Mind2WebEpisode(sample, self._prompts, self._shown, self._rules)

    async def _shown(self, n: int, ids: Sequence[str]) -> tuple[str, list[PageChoice]]:
        lease = await self.pool.acquire()
        try:
            text, choices = await lease.call("render", str(self._path), n, list(ids), timeout=RENDER_S)
        finally:
            lease.release()
        return text, [PageChoice(*choice) for choice in choices]


@asynccontextmanager
async def open_world(ctx: Context) -> AsyncIterator[Mind2WebWorld]:
    """Open the workers, the first at once and the others as they are needed."""
    launch = Launch("tasks.mind2web.renderer", memory_mb=MEMORY_MB)
    size = min(os.cpu_count() or 1, WORKERS)
    async with WorkerPool(PoolSpec(launch, size, SLOTS, USES, MEMORY_MB / 2, warm=1)) as pool:
        yield Mind2WebWorld(ctx, pool)


def _known(path: Path) -> dict[str, str]:
    found = rows.meta(path)
    return {name: found[name] for name in ("steps", "ids", "score_file") if name in found}


def _digest(texts: prompts.Mind2WebPrompts) -> str:
    all_texts = [*(m.content for m in texts.exemplars), texts.before_task, texts.before_actions, texts.ask]
    return hashlib.sha256("\x1e".join(all_texts).encode()).hexdigest()[:16]
