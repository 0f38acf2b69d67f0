"""Admits episodes under one budget of memory, cores and live episodes that all tasks of a run share."""

from __future__ import annotations

import asyncio
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

from harness.running.lock_table import LockTable
from harness.running.queue import EpisodeQueue, QueuedEpisode
from harness.running.site_locks import SiteLocks
from harness.types import Capacity

MEMORY_SHARE = 0.7
"""Part of the free memory that live episodes may take; worlds, page cache and this process have the rest."""

SPARE_SHARE = 0.1
"""Part of the memory that was free at the start which episodes leave free, measured, not declared."""

GROWTH, MOST_TIMES = 1.15, 8
"""How fast the number of live episodes follows the model's need, and how far."""
WANTED, CROWDED = 0.1, 0.5
"""Requests that are to wait, as a share of all slots, and so many that fewer live episodes would do."""

UNKNOWN_MB = 4096.0
"""Taken for the free memory where the system does not tell it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What all live episodes together may take.

    Attributes:
        live: how many are live before the model's need is known.
        spare_mb: with less free memory than this no further episode starts, whatever the live ones declared.
    """

    live: int
    memory_mb: float
    cpu: float
    spare_mb: float = 0.0

    @staticmethod
    def of_machine(live: int) -> Budget:
        """Measure this machine; `live` bounds the number of live episodes."""
        free = free_mb()
        return Budget(live, free * MEMORY_SHARE, float(os.cpu_count() or 1), free * SPARE_SHARE)


def free_mb() -> float:
    """Memory that programs may still take without swapping."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return UNKNOWN_MB


@dataclass(slots=True, eq=False)
class _Waiter:
    """A task that waits for an episode it may start."""

    task: str
    capacity: Capacity
    queue: EpisodeQueue
    granted: asyncio.Future[QueuedEpisode | None]


class Admission:
    """Admits episodes, the longest expected first among those that fit; never more than the budget."""

    def __init__(self, budget: Budget, sites: SiteLocks | None = None) -> None:
        self._budget = budget
        self._most_live, self._tight = budget.live, False
        self._live = 0
        self._memory = self._cpu = 0.0
        self._locks = LockTable(sites or SiteLocks())
        self._per_task: dict[str, int] = {}
        self._waiting: list[_Waiter] = []
        self._stopped = False

    async def acquire(self, task: str, capacity: Capacity, queue: EpisodeQueue) -> QueuedEpisode | None:
        """Wait until an episode may start whose locks are free; the longest expected one is served first.

        The episode is chosen when it is admitted: what was queued, dropped or locked in between counts.

        Returns:
            The episode taken out of `queue`; None when none is left and none can come back, or `stop` was
            called.
        """
        if self._stopped:
            return None
        granted: asyncio.Future[QueuedEpisode | None] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(task, capacity, queue, granted)
        self._waiting.append(waiter)
        self.grant()
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and (entry := granted.result()):
                self.release(task, capacity, entry)
            raise

    def stop(self) -> None:
        """Admit nothing from now on; whoever waits gets None."""
        self._stopped = True
        for waiter in self._waiting:
            if not waiter.granted.done():
                waiter.granted.set_result(None)
        self._waiting.clear()

    def release(self, task: str, capacity: Capacity, entry: QueuedEpisode) -> None:
        """Give back what an admitted episode took, and its locks."""
        self._live -= 1
        self._memory -= capacity.memory_mb
        self._cpu -= capacity.cpu
        self._locks.give(entry)
        self._per_task[task] -= 1
        self.grant()

    def grant(self) -> None:
        """Admit every waiting episode that fits."""
        waiting, self._waiting = self._waiting, []
        if len(waiting) > 1:
            # Equal ones in the order in which they began to wait: the sort is stable.
            waiting.sort(key=lambda waiter: waiter.queue.urgency, reverse=True)
        for waiter in waiting:
            if waiter.granted.done():
                continue
            if waiter.queue.over:
                waiter.granted.set_result(None)
            elif self._fits(waiter.task, waiter.capacity) and (entry := self._next(waiter, waiting)):
                self._take(waiter.task, waiter.capacity)
                waiter.granted.set_result(entry)
            else:
                self._waiting.append(waiter)

    def widen(self, live: int) -> None:
        """Let so many episodes be live, before the model's need is known."""
        self._most_live = max(self._most_live, live)
        self._budget = replace(self._budget, live=live)
        self.grant()

    def follow(self, pressure: float, free_mb: float) -> None:
        """Let more episodes be live where the model waits for them, and fewer where they wait for it.

        Environments that take long between requests need more live episodes for the same number of
        requests in flight. Memory and cores bound them as before; where the memory is used up in truth,
        none starts beside the live ones of its task until some is free again.

        Args:
            pressure: as `Pool.pressure`.
            free_mb: free memory as measured now.
        """
        was_tight, self._tight = self._tight, free_mb < self._budget.spare_mb
        if was_tight and not self._tight:
            self.grant()
        if pressure < WANTED and self._waiting and self._live >= self._most_live:
            self._most_live = min(math.ceil(self._most_live * GROWTH), self._budget.live * MOST_TIMES)
            self.grant()
        elif pressure > CROWDED:
            self._most_live = max(int(self._most_live / GROWTH), self._budget.live)

    def _next(self, waiter: _Waiter, waiting: list[_Waiter]) -> QueuedEpisode | None:
        def startable(task: str) -> bool:
            return any(
                other.task == task and not other.granted.done() and self._fits(task, other.capacity)
                for other in waiting
            )

        return waiter.queue.take(lambda entry: self._locks.take(entry, waiter.task, startable))

    def _fits(self, task: str, capacity: Capacity) -> bool:
        here = self._per_task.get(task, 0)
        if capacity.live is not None and here >= capacity.live:
            return False
        if here == 0 and self._live < self._most_live:
            return True  # one episode of every task always fits, or a small machine would never start
        if self._tight:
            return False
        return (
            self._live < self._most_live
            and self._memory + capacity.memory_mb <= self._budget.memory_mb
            and self._cpu + capacity.cpu <= self._budget.cpu
        )

    def _take(self, task: str, capacity: Capacity) -> None:
        self._live += 1
        self._memory += capacity.memory_mb
        self._cpu += capacity.cpu
        self._per_task[task] = self._per_task.get(task, 0) + 1
