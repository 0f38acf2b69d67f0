"""The line in which requests wait: the longest remaining episode first, and nobody passed over for ever."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field
from typing import Generic, TypeVar

AGEING = 0.5
"""Turns that a waiting request gains on later ones in each round, a round being as many requests as may be in
flight at once. One of an episode with R turns less to go than the longest is overtaken by requests that come
within R / AGEING rounds, and by none after that."""

Place = tuple[float, int]
"""Where a request stands in a line: smaller is earlier. It keeps its place when it changes the line."""

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Waiter(Generic[T]):
    """A request that waits; `granted` brings what it waits for."""

    key: str
    place: Place
    granted: asyncio.Future[T]


@dataclass(slots=True)
class Places:
    """Gives requests their places, by what their episodes still have to do and by how long they wait."""

    _rounds: float = 0.0
    _arrived: itertools.count[int] = field(default_factory=itertools.count)

    def next(self, turns_left: float) -> Place:
        """The place of a request that comes now.

        Args:
            turns_left: which its episode still expects to make, this one included.
        """
        return self._rounds * AGEING - turns_left, next(self._arrived)

    def served(self, at_once: int) -> None:
        """Count a request that is sent, of so many that may be in flight at once."""
        self._rounds += 1.0 / max(1, at_once)


class Line(Generic[T]):
    """Requests in the order of their places."""

    def __init__(self) -> None:
        self._heap: list[tuple[Place, Waiter[T]]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, waiter: Waiter[T]) -> None:
        """Let a request wait."""
        heapq.heappush(self._heap, (waiter.place, waiter))

    def take(self) -> Waiter[T] | None:
        """Take out the first that still waits; None without one."""
        while self._heap:
            waiter = heapq.heappop(self._heap)[1]
            if not waiter.granted.done():
                return waiter
        return None

    def drain(self) -> list[Waiter[T]]:
        """Take out all that still wait."""
        waiting = [waiter for _, waiter in sorted(self._heap) if not waiter.granted.done()]
        self._heap.clear()
        return waiting


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
