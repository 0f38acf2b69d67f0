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
from tasks.sciworld.jvm import Slot
from tasks.sciworld.launch import GOLD_HEAP_MB, jars
from tasks.sciworld.pool import CALL_S, Pool
from tasks.sciworld.texts import Texts

GOLD_S = 240.0
"""The watchdog of one solution; the slowest measured took 23 s on an idle machine."""

WARM = 2


class SciWorld:
    """The world of one run; builds episodes."""

    capacity = Capacity(memory_mb=110, cpu=0.03)
    """About 100 MB of a shared JVM, and 10 to 50 ms of one core per turn."""

    def __init__(self, ctx: Context, pool: Pool, solvers: Pool, fingerprint: Mapping[str, str]) -> None:
        self.fingerprint = fingerprint
        self.pool = pool
        self._ctx, self._texts, self._solvers = ctx, Texts.read(ctx.data), solvers
        self._solving = asyncio.Semaphore(2)

    async def episode(self, sample: Sample, repeat: int, seed: int) -> SciWorldEpisode:
        """Build an episode; the simulator is deterministic, so repeat and seed change nothing."""
        del repeat, seed
        return SciWorldEpisode(self, sample, self._texts, self._ctx.options)

    async def gold(self, sample: Sample) -> list[str] | None:
        """The solution of a sample, when an oracle asked for it; computed in a JVM kept for that.

        Raises:
            EnvironmentFault: the simulator failed.
        """
        if not oracle.wanted(self._ctx.work, sample):
            return None
        async with self._solving:
            known = oracle.known(self._ctx, sample)
            if known is None:
                known = await solve(self._solvers, sample)
                oracle.keep(self._ctx.work, sample, known)
        return known


def solver_pool() -> Pool:
    """Simulators that only solve."""
    return Pool(slots=2, call_s=GOLD_S, heap_mb=GOLD_HEAP_MB)


async def solve(pool: Pool, sample: Sample) -> list[str]:
    """Compute a solution (0.3 to 23 s).

    Raises:
        EnvironmentFault: the simulator failed.
    """

    async def computed(slot: Slot) -> list[str]:
        task, variation = sample.data["task"], sample.data["variation"]
        await slot.load(task, variation, "easy")  # a variation that does not exist is told by its name
        await slot.load(task, variation, "easy", gold=True)
        return await slot.gold_actions()

    slot = await pool.acquire()
    try:
        return await slot.run(computed(slot))
    finally:
        pool.release(slot)


@asynccontextmanager
async def open_world(ctx: Context, call_s: float = CALL_S) -> AsyncIterator[SciWorld]:
    """Start the first JVM with a few warm simulators; end every process on leaving."""
    pool, solvers = Pool(call_s=call_s), solver_pool()
    try:
        await pool.warm(WARM)
        fingerprint = {
            "java": await pool.jvms[0].java(),
            "scienceworld": version("scienceworld"),
            "jar": hashlib.sha256(jars()[1].read_bytes()).hexdigest(),
        }
        yield SciWorld(ctx, pool, solvers, fingerprint)
    finally:
        await asyncio.gather(pool.close(), solvers.close())
