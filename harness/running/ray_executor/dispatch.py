"""Hands a plan's episodes to workers, stores what they report, and plans again what a lost worker had."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from harness.errors import InfraError, MissingPart
from harness.models import outside
from harness.running.activity import Activity
from harness.running.look import Look
from harness.running.queue import PlannedEpisode, QueuedEpisode
from harness.running.ray_executor.messages import Handed, Report, key_of, unpacked
from harness.running.ray_executor.places import Place, WorkerLost, shared_out
from harness.running.ray_executor.summed import summed
from harness.running.scheduler import TaskQueue, Wait, longest_waits
from harness.storage.manifest import differing
from harness.storage.store import Attempt, EpisodeKey, Store

log = logging.getLogger(__name__)

STARTS = 3
"""How often a worker is started in the place of one that was lost, the first time included."""

PAUSE_EVERY = 16
"""After so many stored attempts other workers' reports and the display have their turn."""


class Dispatcher:
    """Plays the tasks of a run on workers; has the interface of `Scheduler`.

    Args:
        places: where workers are to run.
        store: the run's.
        finished: commits an attempt; returns whether its episode is to be tried again.
        end: ends the run early, with the reason.
    """

    def __init__(
        self,
        places: Sequence[Place],
        store: Store,
        finished: Callable[[Attempt, PlannedEpisode], bool],
        end: Callable[[str], None],
    ) -> None:
        self._places, self._store, self._finished, self._end = places, store, finished, end
        self._tasks: dict[str, TaskQueue] = {}
        self._names: dict[str, Place] = {}
        """Where the episodes are that hold a name; they stay together until none is left."""
        self._users: Counter[str] = Counter()
        self._fingerprints: dict[str, Mapping[str, Any]] = {}
        self._replayable: dict[str, bool] = {}
        self._opened = False
        self.stopping = self.expired = False

    def stop(self) -> None:
        """Start no further episode; those alive play on."""
        self.stopping = True

    def waits(self, count: int) -> list[Wait]:
        """As `Scheduler.waits`, over all workers."""
        self._show()
        return longest_waits(self._tasks.values())[:count]

    def look(self) -> Look:
        """What all workers together do."""
        self._show()
        turns = {
            task.name: tuple(activity.turn for activity in task.live.values())
            for task in self._tasks.values()
        }
        return summed(turns, [place.told.look for place in self._places if place.told is not None])

    async def run(self, tasks: Sequence[TaskQueue], *, until: float | None = None) -> None:
        """Play every episode, as `Scheduler.run`.

        Raises:
            MissingPart: no worker can play; nothing was played.
            StoreError: the store cannot be written.
        """
        self._tasks = {task.name: task for task in tasks}
        with ExitStack() as stack:
            if until is not None:
                stack.callback(asyncio.get_running_loop().call_at(until, self._expire).cancel)
            async with asyncio.TaskGroup() as group:
                for place in self._places:
                    group.create_task(self._serve(place), name=place.name)
        if not self._opened:
            why = "\n  ".join(f"{place.name}: {place.refused}" for place in self._places)
            raise MissingPart(f"no node can play, nothing was sent:\n  {why}")

    def _expire(self) -> None:
        self.expired = any(task.episodes for task in self._tasks.values())
        if self.expired:
            self.stop()

    # -- one worker

    async def _serve(self, place: Place) -> None:
        """Keep a worker at a place until there is nothing left for it."""
        for _ in range(STARTS):
            try:
                await self._work(place)
                break
            except WorkerLost as lost:
                count, place.refused = len(place.held), outside.line(str(lost))
                self._take_back(place)
                log.warning("%s is lost: %s; episodes planned again: %d", place.name, place.refused, count)
                if lost.forever:
                    break
        place.gone = True
        self._share_out()
        self._give_up()

    def _share_out(self) -> None:
        """Give the requests in flight of places that are gone to those that are left."""
        left = [place for place in self._places if not place.gone]
        shares = shared_out(sum(place.requests for place in self._places), len(left)) if left else []
        for place in self._places:
            place.requests = 0 if place.gone else shares.pop(0)

    async def _work(self, place: Place) -> None:
        if self._is_done(place):
            return
        worker = place.start()
        try:
            opened = await worker.open(place.opening)
            place.refused, place.spare = opened.refused, opened.spare
            if opened.refused:
                log.warning("%s plays nothing: %s", place.name, opened.refused)
                return
            self._opened = True
            for task, why in opened.missing.items():
                self._unable(place, task, why)
            while not self._is_done(place):
                handed = list(self._pick(place))
                over = [name for name, task in self._tasks.items() if self._is_over(place, task)]
                report = await worker.exchange(handed, over, stop=self.stopping, requests=place.requests)
                await self._take_in(place, report)
        finally:
            await worker.close()

    def _is_over(self, place: Place, task: TaskQueue) -> bool:
        return task.name in place.unable or task.episodes.over

    def _is_done(self, place: Place) -> bool:
        if self.stopping:
            return not place.held
        return all(self._is_over(place, task) for task in self._tasks.values())

    # -- handing over

    def _pick(self, place: Place) -> Iterator[Handed]:
        """Choose what a worker gets: of each task no more than it soon begins, and no more than its share."""
        if self.stopping:
            return
        waiting: Mapping[str, int] = place.told.waiting if place.told is not None else {}
        for task in sorted(self._tasks.values(), key=lambda task: task.episodes.urgency, reverse=True):
            if task.name in place.unable:
                continue
            able = sum(not other.gone and task.name not in other.unable for other in self._places)
            share = math.ceil((len(task.episodes) + task.episodes.live) / able) - place.count(task.name)
            for _ in range(min(share, place.spare - waiting.get(task.name, 0))):
                entry = task.episodes.take(lambda entry: self._is_free(place, entry))
                if entry is None:
                    break
                yield self._handed(place, task, entry)

    def _is_free(self, place: Place, entry: QueuedEpisode) -> bool:
        return all(self._names.get(name, place) is place for name in entry.names)

    def _handed(self, place: Place, task: TaskQueue, entry: QueuedEpisode) -> Handed:
        planned = entry.planned
        version = place.opening.tasks[task.name]["version"]
        item = EpisodeKey(task.name, version, planned.sample.id, planned.repeat)
        place.held[item] = entry
        for name in entry.names:
            self._names[name] = place
            self._users[name] += 1
        begun = False
        if not self._replayable.get(task.name, False):  # until a world tells that it does not matter
            begun = self._store.begun(item)
            self._store.begin(item)
        return Handed(item, planned.followed, begun)

    # -- taking in

    async def _take_in(self, place: Place, report: Report) -> None:
        place.told, place.told_at, place.spare = report, time.monotonic(), report.spare
        for line in report.lines:
            logging.getLogger(line.logger).log(line.level, "%s: %s", place.name, line.text)
        self._replayable |= report.replayable
        for key, value in report.facts.items():
            self._fact(place, key, value)
        for number, data in enumerate(report.attempts, 1):
            self._store_attempt(place, unpacked(data))
            if number % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
        for item in report.returned:
            self._free(place, item, again=True)
        for task, why in report.lost.items():
            self._unable(place, task, why)

    def _store_attempt(self, place: Place, attempt: Attempt) -> None:
        """Commit an attempt, unless its episode was planned elsewhere since."""
        item = key_of(attempt)
        if (entry := place.held.get(item)) is not None:
            self._free(place, item, again=self._finished(attempt, entry.planned))

    def _free(self, place: Place, item: EpisodeKey, *, again: bool) -> None:
        """A worker has an episode no longer; `again` plans it once more."""
        entry = place.held.pop(item, None)
        if entry is None:
            return
        for name in entry.names:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name], self._names[name]
        self._tasks[item.task].episodes.done(entry.planned, again=again)

    def _take_back(self, place: Place, task: str | None = None) -> None:
        """Plan again what a place holds, of all tasks or of one."""
        for item in [item for item in place.held if task in (None, item.task)]:
            self._free(place, item, again=True)
        if task is None:
            place.told = None

    def _fact(self, place: Place, key: str, value: Any) -> None:
        """Keep what a world says of itself; one that is unlike the first of its task is not used."""
        kind, _, task = key.partition("/")
        if kind != "fingerprint":
            self._store.set_meta(key, value)
            return
        first = self._fingerprints.setdefault(task, value)
        if lines := differing(first, value):
            self._unable(
                place, task, f"its environment is another (there: the first node's): {'; '.join(lines)}"
            )
        else:
            self._store.set_meta(key, value)

    def _unable(self, place: Place, task: str, why: str) -> None:
        """A place does not play a task; others play it, if there are any."""
        if task in place.unable:
            return
        place.unable.add(task)
        self._take_back(place, task)
        log.warning("%s does not play %s: %s", place.name, task, why)
        self._give_up(f"{place.name}: {why}")

    def _give_up(self, why: str = "") -> None:
        """Give up the tasks that no place is left for, and the run where there is none for any."""
        left = [place for place in self._places if not place.gone]
        if not left:
            if self._opened and not self.stopping and any(task.episodes for task in self._tasks.values()):
                self._end("no node is left that plays; the same command resumes")
            return
        for task in self._tasks.values():
            if task.episodes and all(task.name in place.unable for place in left):
                told = f"no node is left that plays it{f'; {why}' if why else ''}"
                task.lost(InfraError(told))
                task.episodes.clear()

    def _show(self) -> None:
        """Let the display and the heartbeat see the live episodes of all places."""
        for task in self._tasks.values():
            task.live.clear()
        for place in self._places:
            for one in place.told.alive if place.told is not None else ():
                activity = Activity(one.doing, place.told_at - one.seconds, one.turn)
                self._tasks[one.task].live[one.name] = activity
