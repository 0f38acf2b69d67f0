"""How many requests one endpoint gets at a time: additive increase, multiplicative decrease."""

from __future__ import annotations

import math
from dataclasses import dataclass

HEADROOM = 8
"""Slots left to other clients and to probes: TGI answers 429 at once beyond its limit."""

UNKNOWN_START, UNKNOWN_CAP = 32, 256
PER_ENDPOINT = 64
"""Requests in flight per endpoint unless `--concurrency` says otherwise."""

MOST = 4096
"""A server that says it takes more at a time is sent no more than this."""

_QUEUE_FLOOR_S = 0.5
_SLOW, _LESS = 4.0, 0.5
_LATENCY_FLOOR = 8.0
_PROMPT_TOKENS = 16


def cap_for(max_concurrent: int, configured: int | None) -> tuple[int, int]:
    """Give (start, cap) from `/info`'s max_concurrent_requests (0: unknown) and the user's limit."""
    if max_concurrent > 0:
        max_concurrent = min(max_concurrent, MOST)
        start = cap = max(max_concurrent - HEADROOM, math.ceil(max_concurrent / 2))
    else:
        start, cap = UNKNOWN_START, UNKNOWN_CAP
    if configured is not None:
        start, cap = min(start, configured), min(cap, configured)
    return max(1, start), max(1, cap)


@dataclass(slots=True)
class Limit:
    """The adaptive limit of one endpoint.

    Attributes:
        value: requests allowed in flight (the whole part counts).
        epoch: raised by each decrease; answers to requests sent before it cannot decrease again.
    """

    value: float
    cap: int
    epoch: int = 0
    _credit: int = 0
    _best: float = math.inf
    _recent: float = 0.0
    _busy: float = 1.0
    _best_rate: float = 0.0

    @property
    def room(self) -> int:
        """Requests allowed in flight."""
        return int(self.value)

    def reach(self, cap: int) -> None:
        """Take another cap; a higher one adds as much to what is allowed now."""
        self.value = max(1.0, min(cap, self.value + max(0, cap - self.cap)))
        self.cap = cap

    def overloaded(self, epoch: int) -> None:
        """Halve after a 429, once for all requests that were in flight together."""
        self._decrease(epoch, 0.5, floor=1.0)

    def succeeded(
        self, epoch: int, *, in_flight: int, latency_s: float, queue_s: float | None, tokens: int
    ) -> None:
        """Learn from an answer: grow by one per limit's worth of answers, or step back when it queued."""
        if queue_s is not None:
            if queue_s > max(_QUEUE_FLOOR_S, 0.5 * (latency_s - queue_s)):
                self._decrease(epoch, 0.9, floor=1.0)
                return
        elif self._worsened(latency_s / (tokens + _PROMPT_TOKENS), in_flight):
            self._decrease(epoch, 0.9, floor=_LATENCY_FLOOR)
            return
        # Growth only counts while the limit is what holds requests back.
        if self.value < self.cap and in_flight >= self.room:
            self._credit += 1
            if self._credit >= self.value:
                self._credit = 0
                self.value = min(self.cap, self.value + 1)

    def returned(self) -> None:
        """Come back from ejection at half strength."""
        self.value = max(1.0, self.value / 2)
        self.epoch += 1

    def _worsened(self, per_token: float, in_flight: int) -> bool:
        """Whether it is slower and serves less: latency alone also rises with a batch that serves more."""
        self._recent = per_token if not self._recent else 0.9 * self._recent + 0.1 * per_token
        self._busy = 0.9 * self._busy + 0.1 * in_flight
        self._best = min(self._best, self._recent)
        rate = self._busy / max(self._recent, 1e-9)
        self._best_rate = max(self._best_rate, rate)
        return self._recent > _SLOW * self._best and rate < _LESS * self._best_rate

    def _decrease(self, epoch: int, factor: float, *, floor: float) -> None:
        if epoch == self.epoch and self.value > floor:
            self.value = max(floor, self.value * factor)
            self.epoch += 1
            self._credit = 0
