"""One worker: plays the episodes it is handed, in worlds and with connections of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from harness.episode import World
from harness.errors import HarnessError
from harness.models import outside
from harness.models.api import LiveEpisodes
from harness.running import patience
from harness.running import plan as planning
from harness.running.activity import Activity
from harness.running.admission import Budget
from harness.running.expected import Expected
from harness.running.look import look, pressure
from harness.running.plan import Plan, TaskPlan
from harness.running.queue import EpisodeQueue, PlannedEpisode
from harness.running.ray_executor import same
from harness.running.ray_executor.messages import TIMES_UP_S, Alive, Handed, Line, Opened, Opening, Report
from harness.running.ray_executor.outbox import Outbox
from harness.running.run_model import live_bound, open_roles, open_tested
from harness.running.scheduler import Scheduler, TaskQueue
from harness.running.scratch import scratch
from harness.running.task_player import OpenModels, TaskPlayer
from harness.storage.records import EpisodeKey
from harness.types import Sample

OPEN_S, ANSWER_S, CLOSE_S = 900.0, 60.0, 60.0
"""Longest that checking the data and opening the model, answering beyond `TIMES_UP_S`, and closing take."""

log = logging.getLogger(__name__)
T = TypeVar("T")


class WorkerPlayer:
    """Plays on an event loop in a thread of its own; its methods are called from one other thread.

    Args:
        lines: log lines to report; somebody else puts them in.
    """

    def __init__(self, lines: deque[Line] | None = None) -> None:
        self._lines: deque[Line] = deque() if lines is None else lines
        self._opened: Future[Opened] = Future()
        self._thread: threading.Thread | None = None
        self._session: _Session | None = None
        self._failed: BaseException | None = None

    def open(self, opening: Opening) -> Opened:
        """Check that this machine can play, open the model, begin; a world opens with its first episode."""
        self._thread = threading.Thread(target=self._main, args=(opening,), name="episodes", daemon=True)
        self._thread.start()
        return self._opened.result(OPEN_S)

    def exchange(self, handed: Sequence[Handed], over: Sequence[str], *, stop: bool) -> Report:
        """Take episodes and report; waits up to `TIMES_UP_S` for something to report.

        Args:
            handed: to be played.
            over: tasks of which nothing more is wanted from this worker; what waits is dropped.
            stop: start nothing more; what waits is returned.
        """
        session = self._session
        if session is None or self._failed is not None:
            raise RuntimeError(f"the worker ended: {self._failed!r}")
        return self._call(session, session.exchange(handed, over, stop=stop), TIMES_UP_S + ANSWER_S)

    def close(self) -> None:
        """Abort what is live, and close worlds and connections. Idempotent."""
        if (session := self._session) is not None:
            with contextlib.suppress(RuntimeError):  # its loop ended already
                session.loop.call_soon_threadsafe(session.end)
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    @staticmethod
    def _call(session: _Session, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        return asyncio.run_coroutine_threadsafe(work, session.loop).result(limit_s)

    def _main(self, opening: Opening) -> None:
        try:
            own = same.package()
            if own != opening.package:
                told = f"it has the harness {own}, and the command runs {opening.package}"
                self._opened.set_result(Opened(f"{told}: install the same on all nodes"))
                return
            patience.run(self._play(opening, planning.make(opening.request)))
        except BaseException as error:
            self._failed = error
            told = outside.line(str(error) if isinstance(error, HarnessError) else repr(error))
            if self._opened.done():
                log.error("the worker ended: %s", told)
            else:
                self._opened.set_result(Opened(told))

    async def _play(self, opening: Opening, plan: Plan) -> None:
        missing = same.cannot_play(plan, opening.tasks)
        tasks = {task.spec.name: task for task in plan.tasks if task.spec.name in opening.tasks}
        async with AsyncExitStack() as stack:
            work, live = stack.enter_context(scratch("harness-run-")), LiveEpisodes()
            tested = await stack.enter_async_context(open_tested(opening.request, live))
            if other := same.other_model(opening.identity, tested.info["identity"]):
                self._opened.set_result(Opened(other))
                return
            roles = await open_roles(opening.request, tested, live, stack)
            session = _Session(opening, tasks, OpenModels(tested, live, roles), work, self._lines)
            self._session = session
            self._opened.set_result(Opened("", missing, session.spare))
            with contextlib.suppress(asyncio.CancelledError):
                await session.run()


class _Session:
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
        self._bound = live_bound(opening.request)
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

    async def run(self) -> None:
        """Play until `end`."""
        await self._scheduler.run([], feed=asyncio.Event().wait)

    def end(self) -> None:
        """Abort the live episodes and close all worlds."""
        if self._main is not None:
            self._main.cancel()

    @property
    def spare(self) -> int:
        """So many episodes of each task should wait here: those that are begun within about a second."""
        live = sum(queue.episodes.live for queue in self._queues.values())
        return max(0, self._bound - live) + self._bound // 4 + int(self._rate) + 1

    async def exchange(self, handed: Iterable[Handed], over: Iterable[str], *, stop: bool) -> Report:
        """Take episodes, wait until there is something to tell, and tell it."""
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
