"""Says why requests stand still, so that nobody watches a run that waits without a word."""

from __future__ import annotations

import logging

from harness.models.pool.clock import Clock
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Fault
from harness.models.pool.trace import Trace

log = logging.getLogger(__name__)
_LONG_S = 10.0
"""A request that lost this much time to failures and the pauses after them has its cause told."""
_AGAIN_S = 60.0
"""The same cause at the same endpoint is told again after this time: many requests wait for one reason."""


class Pauses:
    """Tells the causes of long pauses, each once for all the requests that wait for it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[tuple[Endpoint | None, str], float] = {}

    def begin(self, trace: Trace, fault: Fault, pause_s: float) -> None:
        """Note that a request failed and pauses now; tells the cause when it has lost long enough."""
        now = self._clock.now()
        lost_s = now - (now if trace.failing_since is None else trace.failing_since)
        cause = (trace.endpoint, fault.kind)
        if lost_s + pause_s < _LONG_S or now - self._told.get(cause, -_AGAIN_S) < _AGAIN_S:
            return
        self._told[cause] = now
        log.warning("a request waits since %.0f s, next try in %.0f s: %s", lost_s, pause_s, fault)
