"""The queue of a task's episodes, in an order that respects the locks their samples need."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.running.expected import Expected
from harness.types import Sample


@dataclass(slots=True)
class PlannedEpisode:
    """One planned episode.

    Attributes:
        tries: attempts that this command has made.
        followed: declared turns of the longest chain of episodes that have to wait for its end.
    """

    sample: Sample
    repeat: int
    tries: int = 0
    followed: float = 0.0

    @property
    def locks(self) -> tuple[str, ...]:
        """All names it needs, exclusively or shared."""
        return self.sample.locks + self.sample.shares


def ordered(episodes: Iterable[PlannedEpisode], expected: Expected) -> list[PlannedEpisode]:
    """Sort episodes by the turns until they and all that wait for them are played, most first.

    An episode with locks is followed by those that need the same names, in the order of the plan: together
    they take as long as one long episode, and keep that order. Equal ones keep their order.

    Args:
        episodes: in plan order; each is told how many turns follow it.
        expected: of their task.
    """
    episodes = list(episodes)
    weights: list[float] = []
    after: dict[str, float] = {}
    """By name: turns from the start of the next episode that needs it."""
    after_alone: dict[str, float] = {}
    """By name: the same for the next episode that needs it alone; several may share it before."""
    for planned in reversed(episodes):
        alone, shares = planned.sample.locks, planned.sample.shares
        behind = [after.get(name, 0.0) for name in alone] + [after_alone.get(name, 0.0) for name in shares]
        planned.followed = max(behind, default=0.0)
        weight = planned.followed + expected.told(planned.sample)
        weights.append(weight)
        for name in alone:
            after[name] = after_alone[name] = weight
        for name in shares:
            after[name] = max(after.get(name, 0.0), weight)
    weights.reverse()
    order = sorted(range(len(episodes)), key=weights.__getitem__, reverse=True)
    return [episodes[index] for index in order]


@dataclass(slots=True, eq=False)
class QueuedEpisode:
    """A queued episode and the names it needs.

    Attributes:
        order: position in the queue; smaller ones are earlier.
        alone: names it holds exclusively.
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

    Attributes:
        expected: how many turns its episodes take.
        live: how many were taken and have not ended.
        fed: episodes may still come from elsewhere, so that it is not over while it is empty.
    """

    def __init__(self, episodes: Iterable[PlannedEpisode] = (), expected: Expected | None = None) -> None:
        self.expected = expected or Expected()
        self.fed = False
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
        return not self._entries and not self.live and not self.fed

    @property
    def urgency(self) -> float:
        """Turns until the first episode that may be offered, and all that wait for it, are played."""
        first = self._peek()
        return 0.0 if first is None else self.turns_left(first.planned, 0)

    def turns_left(self, planned: PlannedEpisode, made: int) -> float:
        """Turns until a live episode, which has made some, and all that wait for it are played."""
        return self.expected.left(planned.sample, made) + planned.followed * self.expected.scale

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

    def clear(self) -> list[PlannedEpisode]:
        """Take all episodes out."""
        waiting = [entry.planned for entry in self._entries.values()]
        self._keep(lambda entry: False)
        return waiting

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

    def _peek(self) -> QueuedEpisode | None:
        """The earliest episode of those that may be offered."""
        if self._nameless and not (self._first and self._first[0][0] < self._nameless[0].order):
            return self._nameless[0]
        return self._first[0][1] if self._first else None

    def _next(self) -> QueuedEpisode | None:
        """Take the earliest episode off those that may be offered."""
        entry = self._peek()
        if entry is not None:
            self._nameless.popleft() if not entry.names else heapq.heappop(self._first)
        return entry

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
