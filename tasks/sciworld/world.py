"""What SciWorld's episodes share: simulators and prompt texts."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version

from harness.episode import BaseWorld
from harness.types import Capacity, Chat, Context, Sample
from tasks.sciworld.episode import SciWorldEpisode
from tasks.sciworld.launch import jars
from tasks.sciworld.pool import CALL_S, SimulatorPool
from tasks.sciworld.prompts import SciWorldPrompts

WARM = 2


class SciWorld(BaseWorld):
    """The world of one run; builds episodes."""

    capacity = Capacity(memory_mb=110, cpu=0.03)
    """About 100 MB of a shared JVM, and 10 to 50 ms of one core per turn."""

    def __init__(self, ctx: Context, pool: SimulatorPool, fingerprint: Mapping[str, str]) -> None:
        self.fingerprint = fingerprint
        self.pool = pool
        self._ctx, self._texts = ctx, SciWorldPrompts.read(ctx.data)

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> SciWorldEpisode:
        """Build an episode; the simulator is deterministic, so the seed changes nothing."""
        del chats, seed
        return SciWorldEpisode(self.pool, sample, self._texts, self._ctx.options)


@asynccontextmanager
async def open_world(ctx: Context, call_s: float = CALL_S) -> AsyncIterator[SciWorld]:
    """Start the first JVM with a few warm simulators; end every process on leaving."""
    pool = SimulatorPool(call_s=call_s, work=ctx.work)
    try:
        await pool.warm(WARM)
        fingerprint = {
            "java": await pool.jvms[0].java(),
            "scienceworld": version("scienceworld"),
            "jar": hashlib.sha256(jars()[1].read_bytes()).hexdigest(),
        }
        yield SciWorld(ctx, pool, fingerprint)
    finally:
        await pool.close()
