"""The queue of a task's episodes, in an order that respects the locks their samples need."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.types import Sample


@dataclass(slots=True)
class PlannedEpisode:
    """One planned episode; `tries` counts the attempts this command has made."""

    sample: Sample
    repeat: int
    tries: int = 0

    @property
    def locks(self) -> tuple[str, ...]:
        """All names it needs, alone or shared."""
        return self.sample.locks + self.sample.shares


def ordered(episodes: Iterable[PlannedEpisode], default_turns: int) -> list[PlannedEpisode]:
    """Sort episodes by expected turns, longest first; equal ones keep their order.

    Episodes with locks keep their order among themselves, whatever their turns: they share out the places
    that sorting gave to them.

    Args:
        episodes: in plan order.
        default_turns: taken for a sample that names no turns.
    """

    def turns(planned: PlannedEpisode) -> int:
        return default_turns if planned.sample.turns is None else planned.sample.turns

    episodes = list(episodes)
    locked = iter([planned for planned in episodes if planned.locks])
    by_turns = sorted(episodes, key=turns, reverse=True)
    return [next(locked) if planned.locks else planned for planned in by_turns]


@dataclass(slots=True, eq=False)
class QueuedEpisode:
    """A queued episode and the names it needs.

    Attributes:
        order: position in the queue; smaller ones are earlier.
        alone: names it holds alone.
        shared: names it holds with others that share them.
        behind: for how many of its names some earlier episode of this queue is still waiting.
        ticket: set when it first found a name held by another task's episode; earlier tickets go first.
        waiting: False once it is started or taken out of the queue.
    """

    planned: PlannedEpisode
    order: int
    alone: frozenset[str]
    shared: frozenset[str]
    behind: int = 0
    ticket: int | None = None
    waiting: bool = True

    @property
    def names(self) -> frozenset[str]:
        """All names it needs."""
        return self.alone | self.shared


class EpisodeQueue:
    """Gives out a task's first episode whose names can be had, in order among episodes of one name.

    An episode is offered only when no earlier one of the queue waits for a name of it, so at most one episode
    per name is ever looked at.
    """

    def __init__(self, episodes: Iterable[PlannedEpisode] = ()) -> None:
        self._order = itertools.count()
        self._entries: dict[int, QueuedEpisode] = {}
        self._nameless: deque[QueuedEpisode] = deque()
        self._first: list[tuple[int, QueuedEpisode]] = []
        self._by_name: dict[str, deque[QueuedEpisode]] = {}
        self.live = 0
        for planned in episodes:
            self.append(planned)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def over(self) -> bool:
        """Whether no episode is left and none that is live can come back."""
        return not self._entries and not self.live

    def append(self, planned: PlannedEpisode) -> None:
        """Queue an episode behind all others."""
        alone = frozenset(planned.sample.locks)
        self._put(QueuedEpisode(planned, next(self._order), alone, frozenset(planned.sample.shares) - alone))

    def take(self, grab: Callable[[QueuedEpisode], bool]) -> QueuedEpisode | None:
        """Take out the first episode that needs no names or whose names `grab` gets; None without one."""
        refused: list[QueuedEpisode] = []
        found: QueuedEpisode | None = None
        while found is None and (entry := self._next()) is not None:
            if not entry.names or grab(entry):
                found = entry
            else:
                refused.append(entry)
        for entry in refused:
            heapq.heappush(self._first, (entry.order, entry))
        if found is not None:
            self._leave(found)
            self.live += 1
        return found

    def done(self, planned: PlannedEpisode, *, again: bool) -> None:
        """An episode that was taken has ended; `again` queues it once more."""
        self.live -= 1
        if again:
            self.append(planned)

    def clear(self) -> None:
        """Take all episodes out."""
        self._keep(lambda entry: False)

    def drop(self, name: str) -> int:
        """Take out every episode that needs a name; returns how many there were."""
        before = len(self)
        self._keep(lambda entry: name not in entry.names)
        return before - len(self)

    def _keep(self, wanted: Callable[[QueuedEpisode], bool]) -> None:
        entries = list(self._entries.values())
        self._entries, self._by_name = {}, {}
        self._nameless.clear()
        self._first.clear()
        for entry in entries:
            if wanted(entry):
                entry.behind = 0
                self._put(entry)
            else:
                entry.waiting = False

    def _put(self, entry: QueuedEpisode) -> None:
        self._entries[entry.order] = entry
        if not entry.names:
            self._nameless.append(entry)
            return
        for name in entry.names:
            waiting = self._by_name.setdefault(name, deque())
            entry.behind += bool(waiting)
            waiting.append(entry)
        if not entry.behind:
            heapq.heappush(self._first, (entry.order, entry))

    def _next(self) -> QueuedEpisode | None:
        """Take the earliest episode off those that may be offered."""
        if self._nameless and not (self._first and self._first[0][0] < self._nameless[0].order):
            return self._nameless.popleft()
        return heapq.heappop(self._first)[1] if self._first else None

    def _leave(self, entry: QueuedEpisode) -> None:
        entry.waiting = False
        del self._entries[entry.order]
        for name in entry.names:
            waiting = self._by_name[name]
            waiting.popleft()
            if not waiting:
                del self._by_name[name]
                continue
            waiting[0].behind -= 1
            if not waiting[0].behind:
                heapq.heappush(self._first, (waiting[0].order, waiting[0]))
