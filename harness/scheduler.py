"""Decides which episode may live next: all tasks share one budget of memory, cores and live episodes."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from harness.episode import World
from harness.phase import Phase
from harness.types import Capacity, Sample

log = logging.getLogger(__name__)

MEMORY_SHARE = 0.7
"""Part of the free memory that live episodes may take; the rest is for worlds, page cache and us."""

WATCH_S = 30.0
STUCK_S = 60.0


@dataclass(frozen=True, slots=True)
class Budget:
    """What all live episodes together may take."""

    live: int
    memory_mb: float
    cpu: float

    @staticmethod
    def of_machine(live: int) -> Budget:
        """Measure this machine; `live` bounds the number of live episodes."""
        import os

        return Budget(live, _free_mb() * MEMORY_SHARE, float(os.cpu_count() or 1))


def _free_mb() -> float:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 4096.0


class Admission:
    """Grants places to live in order of priority among those that fit; never more than the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._live = 0
        self._memory = self._cpu = 0.0
        self._locks: set[str] = set()
        self._per_world: dict[str, int] = {}
        self._waiting: list[tuple[int, int, str, Capacity, asyncio.Future[bool]]] = []
        self._order = itertools.count()
        self._stopped = False

    async def acquire(self, world: str, capacity: Capacity, priority: int) -> bool:
        """Wait for a place of one episode; a higher priority is served first.

        Returns:
            False when `stop` was called instead.
        """
        if self._stopped:
            return False
        if not self._waiting and self._fits(world, capacity):
            self._take(world, capacity)
            return True
        granted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-priority, next(self._order), world, capacity, granted))
        self._grant()
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.result():
                self.release(world, capacity)
            raise

    def stop(self) -> None:
        """Grant nothing from now on; whoever waits is told so."""
        self._stopped = True
        for *_, granted in self._waiting:
            if not granted.done():
                granted.set_result(False)
        self._waiting.clear()

    def release(self, world: str, capacity: Capacity) -> None:
        """Give a place back."""
        self._live -= 1
        self._memory -= capacity.memory_mb
        self._cpu -= capacity.cpu
        self._locks.difference_update(capacity.locks)
        self._per_world[world] -= 1
        self._grant()

    def _grant(self) -> None:
        kept: list[tuple[int, int, str, Capacity, asyncio.Future[bool]]] = []
        while self._waiting:
            waiter = heapq.heappop(self._waiting)
            _, _, world, capacity, granted = waiter
            if granted.done():
                continue
            if self._fits(world, capacity):
                self._take(world, capacity)
                granted.set_result(True)
            else:
                kept.append(waiter)
        for waiter in kept:
            heapq.heappush(self._waiting, waiter)

    def _fits(self, world: str, capacity: Capacity) -> bool:
        if self._locks.intersection(capacity.locks):
            return False
        here = self._per_world.get(world, 0)
        if capacity.live is not None and here >= capacity.live:
            return False
        if here == 0 and self._live < self._budget.live:
            return True  # one episode of every world always fits, or a small machine would never start
        return (
            self._live < self._budget.live
            and self._memory + capacity.memory_mb <= self._budget.memory_mb
            and self._cpu + capacity.cpu <= self._budget.cpu
        )

    def _take(self, world: str, capacity: Capacity) -> None:
        self._live += 1
        self._memory += capacity.memory_mb
        self._cpu += capacity.cpu
        self._locks.update(capacity.locks)
        self._per_world[world] = self._per_world.get(world, 0) + 1


@dataclass(slots=True)
class Job:
    """One planned episode; `tries` counts the attempts this command has made."""

    sample: Sample
    repeat: int
    tries: int = 0


@dataclass(slots=True)
class Lane:
    """One task's queue: its jobs, how to open its world and how to play a job in it.

    Attributes:
        play: plays one job in the open world; returns whether the job is to be queued once more.
        lost: told why no job of this lane can be played, when its world does not open.
    """

    name: str
    jobs: deque[Job]
    priority: int
    world: Callable[[], AbstractAsyncContextManager[World]]
    play: Callable[[World, Job, Phase], Awaitable[bool]]
    lost: Callable[[Exception], None]
    live: dict[str, Phase] = field(default_factory=dict[str, Phase])


class Scheduler:
    """Runs lanes side by side until their jobs are done or `stop` is called."""

    def __init__(self, budget: Budget) -> None:
        self._admission = Admission(budget)
        self._stopping = False
        self._lanes: list[Lane] = []

    def stop(self) -> None:
        """Start no further episode; those alive play on."""
        self._stopping = True
        self._admission.stop()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping

    async def run(self, lanes: list[Lane]) -> None:
        """Play every job; returns when all are done, or, after `stop`, when the live ones are."""
        self._lanes = lanes
        watchdog = asyncio.create_task(self._watch())
        try:
            async with asyncio.TaskGroup() as group:
                for lane in sorted(lanes, key=lambda lane: -lane.priority):
                    group.create_task(self._lane(lane), name=f"lane {lane.name}")
        finally:
            watchdog.cancel()

    async def _lane(self, lane: Lane) -> None:
        if not lane.jobs:
            return
        opening = lane.world()
        try:
            world = await opening.__aenter__()
        except Exception as error:
            lane.lost(error)
            return
        failure: BaseException | None = None
        try:
            await self._jobs(lane, world)
        except BaseException as error:
            failure = error
            raise
        finally:
            kind = type(failure) if failure else None
            await opening.__aexit__(kind, failure, failure.__traceback__ if failure else None)

    async def _jobs(self, lane: Lane, world: World) -> None:
        returned: asyncio.Queue[Job | None] = asyncio.Queue()
        alive = 0
        async with asyncio.TaskGroup() as group:
            while (lane.jobs or alive) and not (self.stopping and not alive):
                if lane.jobs and not self.stopping:
                    if await self._admission.acquire(lane.name, world.capacity, lane.priority):
                        alive += 1
                        job = lane.jobs.popleft()
                        group.create_task(self._one(lane, world, job, returned))
                else:
                    alive -= 1
                    self._requeue(lane, await returned.get())
                while not returned.empty():
                    alive -= 1
                    self._requeue(lane, returned.get_nowait())

    def _requeue(self, lane: Lane, job: Job | None) -> None:
        if job is not None:
            lane.jobs.append(job)

    async def _one(self, lane: Lane, world: World, job: Job, returned: asyncio.Queue[Job | None]) -> None:
        name, phase, again = f"{job.sample.id}#{job.repeat}", Phase(), False
        lane.live[name] = phase
        try:
            again = await lane.play(world, job, phase)
        finally:
            lane.live.pop(name, None)
            self._admission.release(lane.name, world.capacity)
            returned.put_nowait(job if again else None)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            for line in self.oldest(10):
                log.warning("waiting: %s", line)

    def oldest(self, count: int, over_s: float = STUCK_S) -> list[str]:
        """The live episodes that have waited longest for one thing, and for what."""
        now = time.monotonic()
        rows = [
            (
                now - phase.since,
                f"{lane.name} {name}: {phase.name} for {now - phase.since:.0f} s, turn {phase.turn}",
            )
            for lane in self._lanes
            for name, phase in lane.live.items()
            if now - phase.since >= over_s
        ]
        return [line for _, line in sorted(rows, reverse=True)[:count]]
