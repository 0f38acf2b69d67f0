"""What a worker has open while it plays: worlds, a model, queues that are fed, and what it will report."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.episode import World
from harness.models import outside
from harness.models.clients.base import BaseModel
from harness.running.activity import Activity
from harness.running.admission import Budget
from harness.running.expected import Expected
from harness.running.look import look, pressure
from harness.running.plan import TaskPlan
from harness.running.queue import EpisodeQueue, PlannedEpisode
from harness.running.ray_executor.messages import TIMES_UP_S, Alive, Handed, Line, Opening, Report
from harness.running.ray_executor.outbox import Outbox
from harness.running.request import RunRequest
from harness.running.run_model import live_bound
from harness.running.scheduler import Scheduler, TaskQueue
from harness.running.task_player import OpenModels, TaskPlayer
from harness.storage.records import EpisodeKey
from harness.types import Sample


def with_requests(request: RunRequest, requests: int) -> RunRequest:
    """A request of the same run with another bound on those in flight."""
    return replace(request, models=replace(request.models, concurrency=requests))


class Session:
    """What a worker has open while it plays. All methods run on its loop."""

    def __init__(
        self,
        opening: Opening,
        tasks: dict[str, TaskPlan],
        models: OpenModels,
        work: Path,
        lines: deque[Line],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        self._request, self._plans, self._models, self._work = opening.request, tasks, models, work
        self._lines = lines
        self._requests, self._bound = opening.most, live_bound(opening.request)
        budget = Budget.of_machine(self._bound)
        parts = opening.neighbours
        budget = replace(budget, memory_mb=budget.memory_mb / parts, cpu=max(1.0, budget.cpu / parts))
        self._scheduler = Scheduler(budget, None, lambda: pressure(models.tested))
        self._samples = {name: {one.id: one for one in plan.samples} for name, plan in tasks.items()}
        self._queues: dict[str, TaskQueue] = {}
        self._over: set[str] = set()
        self._outbox = Outbox()
        self._facts: dict[str, Any] = {}
        self._replayable: dict[str, bool] = {}
        self._begun: set[EpisodeKey] = set()
        self._rate, self._reported = 0.0, time.monotonic()
        self._may_send(self._request.models.concurrency or 1)

    async def run(self) -> None:
        """Play until `end`."""
        await self._scheduler.run([], feed=asyncio.Event().wait)

    def _may_send(self, requests: int) -> None:
        """Have so many requests in flight from now on, and episodes enough for them."""
        if requests == self._requests:
            return
        self._requests = requests
        if isinstance(tested := self._models.tested, BaseModel):
            tested.pool.at_most(requests)
        self._bound = live_bound(with_requests(self._request, requests))
        self._scheduler.widen(self._bound)

    def end(self) -> None:
        """Abort the live episodes and close all worlds."""
        if self._main is not None:
            self._main.cancel()

    @property
    def spare(self) -> int:
        """So many episodes of each task should wait here: those that are begun within about a second."""
        live = sum(queue.episodes.live for queue in self._queues.values())
        return max(0, self._bound - live) + self._bound // 4 + int(self._rate) + 1

    async def exchange(
        self, handed: Iterable[Handed], over: Iterable[str], *, stop: bool, requests: int
    ) -> Report:
        """Take episodes, wait until there is something to tell, and tell it."""
        self._may_send(requests)
        for one in handed:
            self._take(one)
        for name in over:
            self._finish(name)
        if stop and not self._scheduler.stopping:
            self._scheduler.stop()
            for name in self._queues:
                self._give_back(name)
        self._scheduler.grant()
        await self._outbox.news(TIMES_UP_S)
        return self._report()

    # -- what a `TaskPlayer` writes down, as `task_player.Record`

    def set_meta(self, key: str, value: Any) -> None:
        """Pass on what a world says of itself."""
        self._facts[key] = value
        self._outbox.ring()

    def begun(self, item: EpisodeKey) -> bool:
        """Whether an earlier attempt may have touched the environment, as the store knows."""
        return item in self._begun

    def begin(self, item: EpisodeKey) -> None:
        """Nothing: the command recorded it when it handed the episode over."""

    # -- tasks

    def _take(self, one: Handed) -> None:
        item, name = one.item, one.item.task
        if name in self._over or self._scheduler.stopping:
            self._outbox.returned.append(item)
            return
        if one.begun:
            self._begun.add(item)
        new = name not in self._queues
        queue = self._queue(name) if new else self._queues[name]
        sample: Sample = self._samples[name][item.sample]
        queue.episodes.append(PlannedEpisode(sample, item.repeat, followed=one.followed))
        if new:
            self._scheduler.begin(queue)

    def _queue(self, name: str) -> TaskQueue:
        plan = self._plans[name]
        player = TaskPlayer(plan, self._request, self._models, self, self._work / name)

        @asynccontextmanager
        async def world() -> AsyncGenerator[World]:
            async with player.world() as opened:
                self._replayable[name] = opened.replayable
                yield opened

        async def play(opened: World, planned: PlannedEpisode, activity: Activity) -> bool:
            del opened
            attempt = await player.play(planned, activity)
            if attempt.outcome != "infra_error":
                turns = sum(not call.role for call in attempt.calls)
                episodes.expected.note(planned.sample, turns)
            await self._outbox.put(attempt)
            return False

        def lost(error: Exception) -> None:
            self._outbox.lost[name] = outside.line(str(error) or repr(error))
            self._over.add(name)
            self._give_back(name)

        episodes = EpisodeQueue((), Expected(plan.spec.expected_turns))
        episodes.fed = True
        queue = self._queues[name] = TaskQueue(name, episodes, world, play, lost)
        return queue

    def _finish(self, name: str) -> None:
        """Nothing more comes for a task: its world closes when its live episodes have ended."""
        self._over.add(name)
        if name in self._queues:
            self._queues[name].episodes.clear()
            self._queues[name].episodes.fed = False

    def _give_back(self, name: str) -> None:
        episodes = self._queues[name].episodes
        episodes.fed = False
        plan = self._plans[name]
        self._outbox.returned += [plan.key(one.sample, one.repeat) for one in episodes.clear()]
        self._outbox.ring()

    def _report(self) -> Report:
        now = time.monotonic()
        sent = self._outbox.empty()
        self._rate = (self._rate + len(sent.attempts) / max(0.05, now - self._reported)) / 2
        self._reported = now
        facts, self._facts = self._facts, {}
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        queues = self._queues.values()
        alive = [
            Alive(queue.name, name, activity.name, now - activity.since, activity.turn)
            for queue in queues
            for name, activity in queue.live.items()
        ]
        return Report(
            sent.attempts,
            sent.returned,
            sent.lost,
            facts,
            dict(self._replayable),
            lines,
            alive,
            look(self._models.tested, (), self._request.models.deadline_s),
            {queue.name: len(queue.episodes) for queue in queues},
            self.spare,
            sum(len(queue.episodes) + queue.episodes.live for queue in queues),
        )
