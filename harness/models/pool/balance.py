"""Which endpoint a request goes to: its episode's own, else the least loaded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence, Set
from hashlib import blake2b

from harness.models.pool.endpoint import Endpoint
from harness.models.pool.line import Waiter

_HOMES = 16384
_CROWDED = 0.25
"""An episode leaves its endpoint for an idle one once the queue there is this share of the limit."""


class Balance:
    """Keeps an episode's requests at one endpoint, its home, and spreads the episodes evenly."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = endpoints
        self._homes: OrderedDict[str, Endpoint] = OrderedDict()
        self.moved = 0
        """Requests that were not served by their episode's own, healthy endpoint."""

    def choose(self, key: str, avoid: Set[Endpoint]) -> Endpoint | None:
        """Choose for one attempt; None when no endpoint is healthy.

        Args:
            key: the episode.
            avoid: endpoints to pass over if another is healthy, where this request just failed.
        """
        home = self._homes.get(key)
        if home is not None and home.healthy and home not in avoid:
            self._homes.move_to_end(key)
            if home.free or len(home.waiters) < _CROWDED * home.limit.value:
                return home
            idle = [e for e in self._endpoints if e.free and e not in avoid]
            return self.settle(key, idle or [home])
        healthy = [e for e in self._endpoints if e.healthy]
        if not healthy:
            return None
        others = [e for e in healthy if e not in avoid] or healthy
        if home is not None and home.healthy:  # only this attempt goes elsewhere
            self.moved += 1
            return self._best(key, others)
        return self.settle(key, others)

    def settle(self, key: str, candidates: Sequence[Endpoint]) -> Endpoint:
        """Choose an episode's home among these, for this request and those that follow."""
        old, new = self._homes.get(key), self._best(key, candidates)
        if old is not None and old is not new and old.healthy:
            self.moved += 1
        self._homes[key] = new
        self._homes.move_to_end(key)
        if len(self._homes) > _HOMES:
            self._homes.popitem(last=False)
        return new

    def _best(self, key: str, candidates: Sequence[Endpoint]) -> Endpoint:
        """Take the least loaded; among equals the one that hashing the episode prefers."""
        if len(candidates) == 1:
            return candidates[0]
        candidates = [e for e in candidates if e.free] or candidates
        loads = [e.load for e in candidates]
        least = min(loads)
        near = [e for e, load in zip(candidates, loads, strict=True) if load - least <= 1.0 / e.limit.value]
        mixed = int.from_bytes(blake2b(key.encode("utf-8", "replace"), digest_size=8).digest(), "big")
        return max(near, key=lambda e: ((mixed ^ e.salt) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF)

    def take_over(self, idle: Endpoint) -> Waiter[Endpoint] | None:
        """Take a request from the longest queue for an endpoint with a free slot; None when none is long."""
        crowded = max(self._endpoints, key=lambda e: len(e.waiters) / e.limit.value)
        if len(crowded.waiters) <= _CROWDED * crowded.limit.value or crowded is idle:
            return None
        waiter = crowded.waiters.take()
        if waiter is not None:
            self.moved += 1
            self._homes[waiter.key] = idle
        return waiter
