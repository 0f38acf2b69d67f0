"""Plays the tasks of a run side by side: opens their worlds and starts episodes as they are admitted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from harness.episode import World
from harness.errors import InfraError
from harness.running.activity import Activity
from harness.running.admission import Admission, Budget, free_mb
from harness.running.queue import EpisodeQueue, PlannedEpisode, QueuedEpisode
from harness.running.site_locks import POLL_S, SiteLocks

log = logging.getLogger(__name__)

FOLLOW_S = 1.0
WATCH_S = 30.0
STUCK_S = 60.0


@dataclass(slots=True)
class TaskQueue:
    """One task's episodes, how to open its world and how to play an episode in it.

    Attributes:
        play: plays one episode in the open world; returns whether it is to be queued once more.
        lost: called with why episodes cannot be played: the world does not open, or a site stays locked.
        live: what each live episode does at the moment, by name.
        opening: since when the world is being opened, while it is.
    """

    name: str
    episodes: EpisodeQueue
    world: Callable[[], AbstractAsyncContextManager[World]]
    play: Callable[[World, PlannedEpisode, Activity], Awaitable[bool]]
    lost: Callable[[Exception], None]
    live: dict[str, Activity] = field(default_factory=dict[str, Activity])
    opening: Activity | None = None


class Wait(NamedTuple):
    """What a live episode waits for (`Activity.name`), and for how long.

    Attributes:
        episode: the sample's id and the repeat, `SAMPLE#REPEAT`; empty for a world that is being opened.
    """

    task: str
    episode: str
    doing: str
    seconds: float
    turn: int


class Scheduler:
    """Plays tasks side by side until their episodes are done or `stop` is called.

    Args:
        budget: what all live episodes together may take.
        sites: locks between processes; None makes those of the cache folder.
        pressure: `Pool.pressure` of the model under test.
    """

    def __init__(
        self, budget: Budget, sites: SiteLocks | None = None, pressure: Callable[[], float] = lambda: 0.25
    ) -> None:
        self._pressure = pressure
        self._sites = sites or SiteLocks()
        self._admission = Admission(budget, self._sites)
        self._stopping = False
        self._tasks: list[TaskQueue] = []
        self.expired = False

    def stop(self) -> None:
        """Start no further episode; those alive play on."""
        self._stopping = True
        self._admission.stop()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping

    def grant(self) -> None:
        """Look at the queues again, to which episodes were added, or which are fed no more."""
        self._admission.grant()

    def widen(self, live: int) -> None:
        """As `Admission.widen`."""
        self._admission.widen(live)

    def begin(self, task: TaskQueue) -> None:
        """Begin to play one more task, while `feed` runs."""
        self._tasks.append(task)
        self._group.create_task(self._play_task(task), name=f"task {task.name}")

    async def run(
        self,
        tasks: list[TaskQueue],
        *,
        until: float | None = None,
        feed: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Play every episode; returns when all are done, or, after `stop`, when the live ones are.

        Args:
            tasks: one queue per task.
            until: time of the event loop's clock at which the scheduler stops itself; `expired` then says
                whether episodes were left.
            feed: adds episodes and tasks until it returns.
        """
        self._tasks = list(tasks)
        with ExitStack() as stack:
            stack.callback(self._sites.close)
            for helper in (self._watch(), self._retry_sites(), self._follow()):
                stack.callback(asyncio.create_task(helper).cancel)
            if until is not None:
                stack.callback(asyncio.get_running_loop().call_at(until, self._expire).cancel)
            async with asyncio.TaskGroup() as self._group:
                for task in sorted(tasks, key=lambda task: task.episodes.urgency, reverse=True):
                    self._group.create_task(self._play_task(task), name=f"task {task.name}")
                if feed is not None:
                    await feed()

    def _expire(self) -> None:
        self.expired = any(task.episodes for task in self._tasks)
        if self.expired:
            self.stop()

    async def _retry_sites(self) -> None:
        """Try again for sites that other processes hold; give up on what they hold for too long."""
        while True:
            await asyncio.sleep(POLL_S)
            if not self._sites.waiting or self.stopping:
                continue
            for name, reason in self._sites.review().items():
                for task in self._tasks:
                    if task.episodes.drop(name):
                        task.lost(InfraError(reason))
            self._admission.grant()

    async def _play_task(self, task: TaskQueue) -> None:
        if not task.episodes or self.stopping:
            return
        async with AsyncExitStack() as stack:
            task.opening = Activity("open")
            try:
                world = await stack.enter_async_context(task.world())
            except Exception as error:
                task.lost(error)
                return
            finally:
                task.opening = None
            async with asyncio.TaskGroup() as group:
                while entry := await self._admission.acquire(task.name, world.capacity, task.episodes):
                    group.create_task(self._play_one(task, world, entry))

    async def _play_one(self, task: TaskQueue, world: World, entry: QueuedEpisode) -> None:
        planned = entry.planned
        activity = Activity(left=partial(task.episodes.turns_left, planned))
        name, again = f"{planned.sample.id}#{planned.repeat}", False
        task.live[name] = activity
        try:
            again = await task.play(world, planned, activity)
        finally:
            task.live.pop(name, None)
            task.episodes.done(planned, again=again)
            self._admission.release(task.name, world.capacity, entry)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_S)
            self._admission.follow(self._pressure(), free_mb())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            for line in self.stuck(10):
                log.warning("waiting: %s", line)

    def stuck(self, count: int) -> list[str]:
        """The live episodes that have waited too long for one thing, and for what, in words."""
        return [
            f"{wait.task} {wait.episode}: {wait.doing} for {wait.seconds:.0f} s, turn {wait.turn}"
            for wait in self.waits(count)
            if wait.seconds >= STUCK_S
        ]

    def waits(self, count: int) -> list[Wait]:
        """The live episodes, and the worlds that are being opened, that have waited longest for one thing."""
        return longest_waits(self._tasks)[:count]


def longest_waits(tasks: Iterable[TaskQueue]) -> list[Wait]:
    """What the live episodes of tasks wait for, and their worlds that are being opened, longest first."""
    now = time.monotonic()
    waits = [
        Wait(task.name, name, activity.name, now - activity.since, activity.turn)
        for task in tasks
        for name, activity in (*task.live.items(), *([("", task.opening)] if task.opening else ()))
    ]
    return sorted(waits, key=lambda wait: (wait.seconds, wait.task, wait.episode), reverse=True)
