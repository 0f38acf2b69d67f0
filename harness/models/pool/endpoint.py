"""One endpoint: its limit, its requests in flight, its queue and its health."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from harness.models.pool.capabilities import Capabilities
from harness.models.pool.limits import Limit


@dataclass(eq=False, slots=True)
class Waiter:
    """A request that waits for a slot; `granted` brings the endpoint that has one."""

    key: str
    granted: asyncio.Future[Endpoint]


class Endpoint:
    """One replica of the model.

    Attributes:
        outstanding: requests in flight.
        waiters: requests that queue for a slot here.
        failures: failures in a row, over all requests.
        served: successful requests.
        ejections: how often it was taken out of the pool.
        faults: failures by kind.
        salt: tells endpoints apart when episodes are spread by hash.
    """

    __slots__ = (
        "capabilities",
        "ejections",
        "failures",
        "faults",
        "healthy",
        "limit",
        "outstanding",
        "salt",
        "served",
        "url",
        "waiters",
    )

    def __init__(self, url: str, limit: Limit, capabilities: Capabilities | None = None) -> None:
        self.url = url.rstrip("/")
        self.limit = limit
        self.capabilities = capabilities
        self.salt = int.from_bytes(blake2b(self.url.encode(), digest_size=8).digest(), "big")
        self.outstanding = 0
        self.waiters: deque[Waiter] = deque()
        self.healthy = True
        self.failures = 0
        self.served = 0
        self.ejections = 0
        self.faults: Counter[str] = Counter()

    @property
    def free(self) -> bool:
        """Whether it may take one more request now."""
        return self.healthy and self.outstanding < self.limit.room

    @property
    def load(self) -> float:
        """Requests in flight and waiting, as a share of the limit."""
        return (self.outstanding + len(self.waiters)) / self.limit.value

    def next_waiter(self) -> Waiter | None:
        """Take the first request of the queue that still waits."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.granted.done():
                return waiter
        return None

    def drain(self) -> list[Waiter]:
        """Take all requests of the queue that still wait."""
        waiting = [waiter for waiter in self.waiters if not waiter.granted.done()]
        self.waiters.clear()
        return waiting

    def stats(self) -> dict[str, Any]:
        """Counters, for the log."""
        return {
            "url": self.url,
            "served": self.served,
            "faults": dict(self.faults),
            "ejections": self.ejections,
            "healthy": self.healthy,
            "limit": round(self.limit.value, 1),
        }
