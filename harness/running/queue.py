"""The queue of a task's episodes, and the locks that samples hold while they are played."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from harness.running.site_locks import SiteLocks
from harness.types import Sample


@dataclass(slots=True)
class PlannedEpisode:
    """One planned episode; `tries` counts the attempts this command has made."""

    sample: Sample
    repeat: int
    tries: int = 0


def ordered(jobs: Iterable[PlannedEpisode], default_turns: int) -> list[PlannedEpisode]:
    """Sort jobs by expected turns, longest first; equal ones keep their order.

    Jobs with locks keep their order among themselves, whatever their turns: they share out the places that
    sorting gave to them.

    Args:
        jobs: in plan order.
        default_turns: taken for a sample that names no turns.
    """

    def turns(job: PlannedEpisode) -> int:
        return default_turns if job.sample.turns is None else job.sample.turns

    jobs = list(jobs)
    locked = iter([job for job in jobs if _names(job)])
    return [next(locked) if _names(job) else job for job in sorted(jobs, key=turns, reverse=True)]


def _names(job: PlannedEpisode) -> tuple[str, ...]:
    return job.sample.locks + job.sample.shares


@dataclass(slots=True, eq=False)
class Entry:
    """A queued job and the names it needs.

    Attributes:
        order: position in the queue; smaller ones are earlier.
        alone: names it holds alone.
        shared: names it holds with others that share them.
        behind: of how many of its names some earlier job of this queue is still waiting.
        ticket: set when it first found a name held by another lane's episode; earlier tickets go first.
        waiting: False once it is started or taken out of the queue.
    """

    job: PlannedEpisode
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


class PlannedEpisodes:
    """A lane's queue: gives out the first job whose names can be had, in order among jobs of one name.

    A job is offered only when no earlier job of the queue waits for a name of it, so at most one job per name
    is ever looked at.
    """

    def __init__(self, jobs: Iterable[PlannedEpisode] = ()) -> None:
        self._order = itertools.count()
        self._entries: dict[int, Entry] = {}
        self._plain: deque[Entry] = deque()
        self._first: list[tuple[int, Entry]] = []
        self._by_name: dict[str, deque[Entry]] = {}
        self.live = 0
        for job in jobs:
            self.append(job)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def over(self) -> bool:
        """Whether no job is left and none that is live can come back."""
        return not self._entries and not self.live

    def append(self, job: PlannedEpisode) -> None:
        """Queue a job behind all others."""
        alone = frozenset(job.sample.locks)
        self._put(Entry(job, next(self._order), alone, frozenset(job.sample.shares) - alone))

    def take(self, grab: Callable[[Entry], bool]) -> Entry | None:
        """Take out the first job that needs no names or whose names `grab` gets; None when there is none."""
        refused: list[Entry] = []
        found: Entry | None = None
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

    def done(self, job: PlannedEpisode, *, again: bool) -> None:
        """A job that was taken has ended; `again` queues it once more."""
        self.live -= 1
        if again:
            self.append(job)

    def clear(self) -> None:
        """Take all jobs out."""
        self._keep(lambda entry: False)

    def drop(self, name: str) -> int:
        """Take out every job that needs a name; returns how many there were."""
        before = len(self)
        self._keep(lambda entry: name not in entry.names)
        return before - len(self)

    def _keep(self, wanted: Callable[[Entry], bool]) -> None:
        entries = list(self._entries.values())
        self._entries, self._by_name = {}, {}
        self._plain.clear()
        self._first.clear()
        for entry in entries:
            if wanted(entry):
                entry.behind = 0
                self._put(entry)
            else:
                entry.waiting = False

    def _put(self, entry: Entry) -> None:
        self._entries[entry.order] = entry
        if not entry.names:
            self._plain.append(entry)
            return
        for name in entry.names:
            queue = self._by_name.setdefault(name, deque())
            entry.behind += bool(queue)
            queue.append(entry)
        if not entry.behind:
            heapq.heappush(self._first, (entry.order, entry))

    def _next(self) -> Entry | None:
        """Take the earliest job off those that may be offered."""
        if self._plain and not (self._first and self._first[0][0] < self._plain[0].order):
            return self._plain.popleft()
        return heapq.heappop(self._first)[1] if self._first else None

    def _leave(self, entry: Entry) -> None:
        entry.waiting = False
        del self._entries[entry.order]
        for name in entry.names:
            queue = self._by_name[name]
            queue.popleft()
            if not queue:
                del self._by_name[name]
                continue
            queue[0].behind -= 1
            if not queue[0].behind:
                heapq.heappush(self._first, (queue[0].order, queue[0]))


@dataclass(slots=True)
class LockTable:
    """Names held by the live episodes of a run; a job gets all of its names at once or none."""

    sites: SiteLocks
    _alone: set[str] = field(default_factory=set[str])
    _sharers: Counter[str] = field(default_factory=Counter[str])
    _claims: dict[str, dict[str, Entry]] = field(default_factory=dict[str, dict[str, Entry]])
    _tickets: itertools.count[int] = field(default_factory=itertools.count)

    def take(self, entry: Entry, lane: str, startable: Callable[[str], bool]) -> bool:
        """Take all names of a job, unless one is held or another lane's job has waited longer for it.

        Args:
            entry: the job.
            lane: its lane.
            startable: whether a lane could start a job now; one that could not makes nobody wait.
        """
        if not self._free(entry) or self._is_behind(entry, lane, startable):
            self._claim(entry, lane)
            return False
        self._unclaim(entry, lane)
        if not self.sites.take(entry.alone, entry.shared):
            return False  # without a claim: what another process holds up stops no other lane of this one
        self._alone |= entry.alone
        self._sharers.update(entry.shared)
        return True

    def give(self, entry: Entry) -> None:
        """Give a job's names back."""
        self._alone -= entry.alone
        if entry.shared:
            self._sharers.subtract(entry.shared)
            self._sharers += Counter()  # drops those that are down to 0
        self.sites.give(entry.names)

    def _free(self, entry: Entry) -> bool:
        alone = not any(name in self._alone or name in self._sharers for name in entry.alone)
        return alone and not any(name in self._alone for name in entry.shared)

    def _claim(self, entry: Entry, lane: str) -> None:
        if entry.ticket is None:
            entry.ticket = next(self._tickets)
        for name in entry.names:
            self._claims.setdefault(name, {})[lane] = entry

    def _unclaim(self, entry: Entry, lane: str) -> None:
        entry.ticket = None
        for name in entry.names:
            claims = self._claims.get(name, {})
            if claims.pop(lane, None) is not None and not claims:
                del self._claims[name]

    def _is_behind(self, entry: Entry, lane: str, startable: Callable[[str], bool]) -> bool:
        mine = entry.ticket
        return any(
            other != lane
            and claim.waiting
            and claim.ticket is not None
            and (mine is None or claim.ticket < mine)
            and startable(other)
            for name in entry.names
            for other, claim in self._claims.get(name, {}).items()
        )
