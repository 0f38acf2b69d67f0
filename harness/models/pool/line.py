"""The line in which requests wait: the longest remaining episode first, and nobody passed over for ever."""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

EVERY = 16
"""One of so many requests that are taken out of a line is the one that has stood in it longest: with n before
it, a request is among the next `EVERY * (n + 1)` taken, however many come later with more turns to go."""

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
    """Requests in the order of their places, in which none is passed over for ever."""

    def __init__(self) -> None:
        self._by_place: list[tuple[Place, Waiter[T]]] = []
        self._by_age: OrderedDict[Place, Waiter[T]] = OrderedDict()
        self._taken = 0

    def __len__(self) -> int:
        return len(self._by_age)

    def add(self, waiter: Waiter[T]) -> None:
        """Let a request wait."""
        self._by_age[waiter.place] = waiter
        heapq.heappush(self._by_place, (waiter.place, waiter))

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
            place, waiter = heapq.heappop(self._by_place)
            if self._by_age.pop(place, None) is not None:  # else it was taken as the oldest
                return waiter


class Gate:
    """Lets so many requests through at once."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._line: Line[None] = Line()

    @property
    def locked(self) -> bool:
        """Whether a request that comes now has to wait."""
        return self._free <= 0

    async def acquire(self, key: str, place: Place) -> None:
        """Go through, after waiting in line where it is locked."""
        if not self.locked:
            self._free -= 1
            return
        waiter = Waiter(key, place, asyncio.get_running_loop().create_future())
        self._line.add(waiter)
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self.release()  # let through and cancelled at once
            raise

    def release(self) -> None:
        """Come back; the first in line goes through."""
        waiter = self._line.take()
        if waiter is None:
            self._free += 1
        else:
            waiter.granted.set_result(None)
