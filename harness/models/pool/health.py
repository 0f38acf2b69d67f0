"""Takes failing endpoints out of the pool and puts them back once they answer again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from harness.models.pool.clock import Clock
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Fault
from harness.models.pool.slots import Slots

log = logging.getLogger(__name__)
_EJECT_AFTER = 3
_HEALTH_S = 5.0

Alive = Callable[[Endpoint], Awaitable[bool]]
"""Asks an endpoint outside the pool whether it is back, with the same model as before."""


class Health:
    """Counts each endpoint's failures in a row, and asks those outside the pool for their health."""

    def __init__(self, endpoints: Sequence[Endpoint], slots: Slots, clock: Clock, alive: Alive) -> None:
        self._endpoints = endpoints
        self._slots = slots
        self._clock = clock
        self._alive = alive
        self._checks: asyncio.Task[None] | None = None
        if any(not endpoint.healthy for endpoint in endpoints):
            self._start_checks()

    def failed(self, endpoint: Endpoint, fault: Fault, epoch: int) -> None:
        """Count a failure of a request sent in this epoch of the limit; three in a row eject the endpoint."""
        endpoint.faults[fault.kind] += 1
        if fault.kind == "overloaded":
            endpoint.limit.overloaded(epoch)
        if not fault.ejects:
            return
        endpoint.failures += 1
        if endpoint.failures >= _EJECT_AFTER and endpoint.healthy:
            log.warning("%s is out of the pool after %d failures: %s", endpoint.url, endpoint.failures, fault)
            endpoint.healthy = False
            endpoint.ejections += 1
            self._slots.withdraw(endpoint)
            self._start_checks()

    async def close(self) -> None:
        """Stop asking. Idempotent."""
        if self._checks is not None:
            self._checks.cancel()
            await asyncio.gather(self._checks, return_exceptions=True)
            self._checks = None

    def _start_checks(self) -> None:
        if self._checks is None or self._checks.done():
            self._checks = asyncio.get_running_loop().create_task(self._check(), name="endpoint-health")

    async def _check(self) -> None:
        """Ask every endpoint outside the pool, again and again until none is left outside."""
        while outside := [e for e in self._endpoints if not e.healthy]:
            await self._clock.sleep(_HEALTH_S)
            answers = await asyncio.gather(*map(self._alive, outside), return_exceptions=True)
            for endpoint, back in zip(outside, answers, strict=True):
                if isinstance(back, Exception):
                    log.error("%s: its health cannot be asked: %s", endpoint.url, back)
                elif back is True:
                    self._readmit(endpoint)

    def _readmit(self, endpoint: Endpoint) -> None:
        log.warning("%s is back in the pool", endpoint.url)
        endpoint.healthy, endpoint.failures = True, 0
        endpoint.limit.returned()
        self._slots.restore()
