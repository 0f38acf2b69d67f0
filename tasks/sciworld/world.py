"""What SciWorld's episodes share: simulators, prompt texts, and solutions for the oracle."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version

from harness.types import Capacity, Context, Sample
from tasks.sciworld import oracle
from tasks.sciworld.episode import SciWorldEpisode
from tasks.sciworld.launch import jars
from tasks.sciworld.pool import CALL_S, Pool
from tasks.sciworld.solver import solve
from tasks.sciworld.texts import Texts

WARM = 2

SOLVERS = 2
"""Solutions computed at a time; each keeps a core busy."""


class SciWorld:
    """The world of one run; builds episodes."""

    capacity = Capacity(memory_mb=110, cpu=0.03)
    """About 100 MB of a shared JVM, and 10 to 50 ms of one core per turn."""

    def __init__(self, ctx: Context, pool: Pool, fingerprint: Mapping[str, str]) -> None:
        self.fingerprint = fingerprint
        self.pool = pool
        self._ctx, self._texts = ctx, Texts.read(ctx.data)
        self._solving = asyncio.Semaphore(SOLVERS)

    async def episode(self, sample: Sample, repeat: int, seed: int) -> SciWorldEpisode:
        """Build an episode; the simulator is deterministic, so repeat and seed change nothing."""
        del repeat, seed
        return SciWorldEpisode(self, sample, self._texts, self._ctx.options)

    async def gold(self, sample: Sample) -> list[str] | None:
        """The solution of a sample, when an oracle asked for it.

        Raises:
            EnvironmentFault: the simulator failed.
        """
        if not oracle.wanted(self._ctx.work, sample):
            return None
        async with self._solving:
            known = oracle.known(self._ctx, sample)
            if known is None:
                known = await solve(sample.data["task"], sample.data["variation"])
                oracle.keep(self._ctx.work, sample, known)
        return known


@asynccontextmanager
async def open_world(ctx: Context, call_s: float = CALL_S) -> AsyncIterator[SciWorld]:
    """Start the first JVM with a few warm simulators; end every process on leaving."""
    pool = Pool(call_s=call_s)
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
