"""The line in which requests wait: the longest remaining episode first, and nobody passed over for ever."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

EVERY = 16
"""One of so many requests that are taken out of a line is the one that has stood in it longest: with n before
it, a request is among the next `EVERY * (n + 1)` taken, however many come later with more turns to go."""

HOLD_S = 0.002
"""For so long a slot is kept for the episode that had it, where its next request would be first in line: most
environments answer at once, and an episode that loses its slot at every turn takes twice as long."""

Place = tuple[float, int]
"""Where a request stands in a line: less the turns that its episode has left, then its number."""

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Waiter(Generic[T]):
    """A request that waits; `granted` brings what it waits for."""

    key: str
    place: Place
    granted: asyncio.Future[T]


class Line(Generic[T]):
    """Requests in the order of their places, in which none is passed over for ever.

    Attributes:
        held: free slots that are kept for episodes which are expected back at once.
    """

    def __init__(self) -> None:
        self.held = 0
        self._by_place: list[tuple[Place, int, Waiter[T]]] = []
        """Each with the number it was added under: a request that was taken as the oldest still stands here,
        and may wait again, at the same place, for its next try."""
        self._by_age: OrderedDict[int, Waiter[T]] = OrderedDict()
        self._added = 0
        self._taken = 0

    def __len__(self) -> int:
        return len(self._by_age)

    def add(self, waiter: Waiter[T]) -> None:
        """Let a request wait."""
        self._added += 1
        self._by_age[self._added] = waiter
        heapq.heappush(self._by_place, (waiter.place, self._added, waiter))

    def before(self, place: Place) -> bool:
        """Whether a request would be taken before those that wait."""
        while self._by_place and self._by_place[0][1] not in self._by_age:
            heapq.heappop(self._by_place)  # it was taken as the oldest
        return not self._by_place or place < self._by_place[0][0]

    def hold(self, place: Place, grant: Callable[[], None]) -> None:
        """Keep a free slot, where the next request of the episode that had it would be taken first.

        Args:
            place: of the request that has ended.
            grant: gives out free slots; called when the slot is kept no longer.
        """
        turns, number = place
        if -math.inf < turns < -1.0 and self._by_age and self.before((turns + 1.0, number)):
            self.held += 1
            asyncio.get_running_loop().call_later(HOLD_S, self._let_go, grant)

    def _let_go(self, grant: Callable[[], None]) -> None:
        self.held -= 1
        grant()

    def take(self) -> Waiter[T] | None:
        """Take out the next that still waits; None without one."""
        while self._by_age:
            waiter = self._oldest() if self._taken % EVERY == EVERY - 1 else self._first()
            if not waiter.granted.done():
                self._taken += 1
                return waiter
        return None

    def drain(self) -> list[Waiter[T]]:
        """Take out all that still wait, the oldest first."""
        waiting = [waiter for waiter in self._by_age.values() if not waiter.granted.done()]
        self._by_age.clear()
        self._by_place.clear()
        return waiting

    def _oldest(self) -> Waiter[T]:
        return self._by_age.popitem(last=False)[1]

    def _first(self) -> Waiter[T]:
        while True:
            _, number, waiter = heapq.heappop(self._by_place)
            if self._by_age.pop(number, None) is not None:
                return waiter


class Gate:
    """Lets so many requests through at once."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._line: Line[None] = Line()

    def widen(self, places: int) -> None:
        """Let so many more through at once; fewer where it is negative."""
        self._free += places
        self._grant()

    @property
    def locked(self) -> bool:
        """Whether a request that comes now has to wait."""
        return self._free <= 0

    async def acquire(self, key: str, place: Place) -> None:
        """Go through, after waiting in line where it is locked or somebody goes first."""
        if not self.locked and self._line.before(place):
            self._free -= 1
            return
        waiter = Waiter(key, place, asyncio.get_running_loop().create_future())
        self._line.add(waiter)
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self.release(place)  # let through and cancelled at once
            raise

    def release(self, place: Place) -> None:
        """Come back; the first in line goes through."""
        self._free += 1
        self._line.hold(place, self._grant)
        self._grant()

    def _grant(self) -> None:
        while self._free > self._line.held and (waiter := self._line.take()) is not None:
            self._free -= 1
            waiter.granted.set_result(None)
