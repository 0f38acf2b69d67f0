"""Decides which episode may live next: all tasks share one budget of memory, cores and live episodes."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from harness.episode import World
from harness.errors import InfraError
from harness.running.activity import Activity
from harness.running.queue import Entry, LockTable, PlannedEpisode, PlannedEpisodes
from harness.running.site_locks import POLL_S, SiteLocks
from harness.types import Capacity

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


@dataclass(slots=True, eq=False)
class _Waiter:
    """A lane that waits for a job it may start."""

    lane: str
    capacity: Capacity
    jobs: PlannedEpisodes
    granted: asyncio.Future[Entry | None]


class Admission:
    """Grants places to live in order of priority among those that fit; never more than the budget."""

    def __init__(self, budget: Budget, sites: SiteLocks | None = None) -> None:
        self._budget = budget
        self._live = 0
        self._memory = self._cpu = 0.0
        self._locks = LockTable(sites or SiteLocks())
        self._per_world: dict[str, int] = {}
        self._waiting: list[tuple[int, int, _Waiter]] = []
        self._order = itertools.count()
        self._stopped = False

    async def acquire(
        self, world: str, capacity: Capacity, priority: int, jobs: PlannedEpisodes
    ) -> Entry | None:
        """Wait for a place of one episode and a job whose locks are free; a higher priority is served first.

        The job is chosen when a place is given: what was queued, dropped or locked in between counts.

        Returns:
            The job taken out of `jobs`; None when none is left and none can come back, or `stop` was called.
        """
        if self._stopped:
            return None
        granted: asyncio.Future[Entry | None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-priority, next(self._order), _Waiter(world, capacity, jobs, granted)))
        self.grant()
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and (entry := granted.result()):
                self.release(world, capacity, entry)
            raise

    def stop(self) -> None:
        """Grant nothing from now on; whoever waits is told so."""
        self._stopped = True
        for *_, waiter in self._waiting:
            if not waiter.granted.done():
                waiter.granted.set_result(None)
        self._waiting.clear()

    def release(self, world: str, capacity: Capacity, entry: Entry) -> None:
        """Give a place and a job's locks back."""
        self._live -= 1
        self._memory -= capacity.memory_mb
        self._cpu -= capacity.cpu
        self._locks.give(entry)
        self._per_world[world] -= 1
        self.grant()

    def grant(self) -> None:
        """Give every free place that somebody can use."""
        waiting, self._waiting = sorted(self._waiting), []
        for key in waiting:
            waiter = key[2]
            if waiter.granted.done():
                continue
            if waiter.jobs.over:
                waiter.granted.set_result(None)
            elif self._fits(waiter.lane, waiter.capacity) and (entry := self._job(waiter, waiting)):
                self._take(waiter.lane, waiter.capacity)
                waiter.granted.set_result(entry)
            else:
                self._waiting.append(key)
        heapq.heapify(self._waiting)

    def _job(self, waiter: _Waiter, waiting: list[tuple[int, int, _Waiter]]) -> Entry | None:
        def startable(lane: str) -> bool:
            return any(
                other.lane == lane and not other.granted.done() and self._fits(lane, other.capacity)
                for *_, other in waiting
            )

        return waiter.jobs.take(lambda entry: self._locks.take(entry, waiter.lane, startable))

    def _fits(self, world: str, capacity: Capacity) -> bool:
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
        self._per_world[world] = self._per_world.get(world, 0) + 1


@dataclass(slots=True)
class TaskQueue:
    """One task's queue: its jobs, how to open its world and how to play a job in it.

    Attributes:
        play: plays one job in the open world; returns whether the job is to be queued once more.
        lost: told why jobs of this lane cannot be played: its world does not open, or a site stays locked.
    """

    name: str
    jobs: PlannedEpisodes
    priority: int
    world: Callable[[], AbstractAsyncContextManager[World]]
    play: Callable[[World, PlannedEpisode, Activity], Awaitable[bool]]
    lost: Callable[[Exception], None]
    live: dict[str, Activity] = field(default_factory=dict[str, Activity])


class Scheduler:
    """Runs lanes side by side until their jobs are done or `stop` is called.

    Args:
        budget: what all live episodes together may take.
        sites: locks between processes; None makes those of the cache folder.
    """

    def __init__(self, budget: Budget, sites: SiteLocks | None = None) -> None:
        self._sites = sites or SiteLocks()
        self._admission = Admission(budget, self._sites)
        self._stopping = False
        self._lanes: list[TaskQueue] = []
        self.expired = False

    def stop(self) -> None:
        """Start no further episode; those alive play on."""
        self._stopping = True
        self._admission.stop()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping

    async def run(self, lanes: list[TaskQueue], *, until: float | None = None) -> None:
        """Play every job; returns when all are done, or, after `stop`, when the live ones are.

        Args:
            lanes: one per task.
            until: time of the event loop's clock at which the scheduler stops itself; `expired` then says
                whether jobs were left.
        """
        self._lanes = lanes
        helpers = [asyncio.create_task(self._watch()), asyncio.create_task(self._retry_sites())]
        ends = asyncio.get_running_loop().call_at(until, self._expire) if until is not None else None
        try:
            async with asyncio.TaskGroup() as group:
                for lane in sorted(lanes, key=lambda lane: -lane.priority):
                    group.create_task(self._lane(lane), name=f"lane {lane.name}")
        finally:
            for helper in helpers:
                helper.cancel()
            if ends is not None:
                ends.cancel()
            self._sites.close()

    def _expire(self) -> None:
        self.expired = any(lane.jobs for lane in self._lanes)
        if self.expired:
            self.stop()

    async def _retry_sites(self) -> None:
        """Try again for sites that other processes hold; give up on what they hold for too long."""
        while True:
            await asyncio.sleep(POLL_S)
            if not self._sites.waiting or self.stopping:
                continue
            for name, reason in self._sites.review().items():
                for lane in self._lanes:
                    if lane.jobs.drop(name):
                        lane.lost(InfraError(reason))
            self._admission.grant()

    async def _lane(self, lane: TaskQueue) -> None:
        if not lane.jobs or self.stopping:
            return
        opening = lane.world()
        try:
            world = await opening.__aenter__()
        except Exception as error:
            lane.lost(error)
            return
        failure: BaseException | None = None
        try:
            await self._play_all(lane, world)
        except BaseException as error:
            failure = error
            raise
        finally:
            kind = type(failure) if failure else None
            await opening.__aexit__(kind, failure, failure.__traceback__ if failure else None)

    async def _play_all(self, lane: TaskQueue, world: World) -> None:
        capacity = world.capacity
        async with asyncio.TaskGroup() as group:
            while entry := await self._admission.acquire(lane.name, capacity, lane.priority, lane.jobs):
                group.create_task(self._one(lane, world, entry))

    async def _one(self, lane: TaskQueue, world: World, entry: Entry) -> None:
        job = entry.job
        name, activity, again = f"{job.sample.id}#{job.repeat}", Activity(), False
        lane.live[name] = activity
        try:
            again = await lane.play(world, job, activity)
        finally:
            lane.live.pop(name, None)
            lane.jobs.done(job, again=again)
            self._admission.release(lane.name, world.capacity, entry)

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
                now - activity.since,
                f"{lane.name} {name}: {activity.name} for {now - activity.since:.0f} s, turn {activity.turn}",
            )
            for lane in self._lanes
            for name, activity in lane.live.items()
            if now - activity.since >= over_s
        ]
        return [line for _, line in sorted(rows, reverse=True)[:count]]
