"""Gives requests their slots at endpoints, and queues them where none is free."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial

from harness.models.pool.balance import Balance
from harness.models.pool.clock import Clock
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.line import Line, Place, Waiter
from harness.models.pool.trace import Deadline, Trace


class Slots:
    """The slots of all endpoints; as many at each as its adaptive limit allows."""

    def __init__(self, endpoints: Sequence[Endpoint], clock: Clock) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._balance = Balance(endpoints)
        self._unassigned: Line[Endpoint] = Line()
        """Requests that came while no endpoint was healthy."""
        self._queued: set[Deadline] = set()
        self._outage_began: float | None = None
        """Since when no endpoint is healthy."""

    @property
    def moved(self) -> int:
        """Requests that were not served by their episode's own, healthy endpoint."""
        return self._balance.moved

    @property
    def outage_s(self) -> float | None:
        """For how long no endpoint has been healthy; None while one is."""
        return None if self._outage_began is None else self._clock.now() - self._outage_began

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot, or for an endpoint."""
        return len(self._queued)

    async def acquire(self, key: str, trace: Trace) -> Endpoint:
        """Take a slot, after queueing for one where none is free."""
        endpoint = self._balance.choose(key, trace.avoid(self._endpoints))
        if endpoint is not None and endpoint.free and endpoint.waiters.before(trace.place):
            endpoint.outstanding += 1
            return endpoint
        waiter = Waiter(key, trace.place, asyncio.get_running_loop().create_future())
        (self._unassigned if endpoint is None else endpoint.waiters).add(waiter)
        try:
            with self.queueing(trace.deadline):
                return await waiter.granted
        except asyncio.CancelledError:
            granted = waiter.granted  # may be granted and cancelled at once
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self.release(granted.result(), trace.place)
            raise

    def release(self, endpoint: Endpoint, place: Place) -> None:
        """Give a slot back; the next request in the queue gets it."""
        endpoint.outstanding -= 1
        endpoint.waiters.hold(place, partial(self._grant, endpoint))
        self._grant(endpoint)

    @contextmanager
    def queueing(self, deadline: Deadline) -> Generator[None, None, None]:
        """Stop a request's clock while it queues; let it run where no endpoint is healthy."""
        self._queued.add(deadline)
        if self._outage_began is None:
            deadline.pause()
        else:
            deadline.resume()
        try:
            yield
        finally:
            self._queued.discard(deadline)
            deadline.resume()

    def withdraw(self, endpoint: Endpoint) -> None:
        """Move the requests that queue at an endpoint which is no longer healthy to the others."""
        waiting, healthy = endpoint.waiters.drain(), [e for e in self._endpoints if e.healthy]
        if not healthy:
            self._outage_began = self._clock.now()
            for deadline in self._queued:
                deadline.resume()
        for waiter in waiting:
            target = self._balance.settle(waiter.key, healthy) if healthy else None
            (self._unassigned if target is None else target.waiters).add(waiter)
        for other in healthy:
            self._grant(other)

    def restore(self) -> None:
        """Use an endpoint that has become healthy again."""
        if self._outage_began is not None:
            self._outage_began = None
            for deadline in self._queued:
                deadline.pause()
        healthy = [e for e in self._endpoints if e.healthy]
        for waiter in self._unassigned.drain():
            self._balance.settle(waiter.key, healthy).waiters.add(waiter)
        self.grant()

    def grant(self) -> None:
        """Give all free slots to requests that wait."""
        for endpoint in self._endpoints:
            self._grant(endpoint)

    def fail(self, error: Exception) -> None:
        """Let every request that queues fail."""
        for line in (self._unassigned, *(endpoint.waiters for endpoint in self._endpoints)):
            for waiter in line.drain():
                waiter.granted.set_exception(error)

    def _grant(self, endpoint: Endpoint) -> None:
        """Give an endpoint's free slots to waiting requests, first to those in its own queue."""
        while endpoint.free and endpoint.outstanding + endpoint.waiters.held < endpoint.limit.room:
            waiter = endpoint.waiters.take() or self._balance.take_over(endpoint)
            if waiter is None:
                return
            endpoint.outstanding += 1
            waiter.granted.set_result(endpoint)
