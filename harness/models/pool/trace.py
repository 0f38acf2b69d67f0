"""What one request has been through, and how long it may still take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from harness.errors import RequestRejected
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Fault

_REFUSALS = 3
"""A request that so many endpoints refuse is refused for good."""


class Deadline:
    """The time a request has; it stands still while the request queues behind others.

    Waiting for a slot is no failure: were it counted, a queue longer than the deadline would turn into
    infrastructure errors. With no healthy endpoint left it counts.
    """

    def __init__(self, timeout: asyncio.Timeout) -> None:
        self._timeout = timeout
        self._left: float | None = None

    def pause(self) -> None:
        """Stop the clock."""
        ends = self._timeout.when()
        if self._left is None and ends is not None:
            self._left = ends - asyncio.get_running_loop().time()
            self._timeout.reschedule(None)

    def resume(self) -> None:
        """Let it run on."""
        if self._left is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._left)
            self._left = None


@dataclass(slots=True)
class Trace:
    """Attempts so far, and the endpoints that are not to be tried next."""

    deadline: Deadline
    patience_s: float | None = None
    tries: int = 0
    last: str = "no endpoint was free or healthy"
    endpoint: Endpoint | None = None
    in_a_row: int = 0
    barred: set[Endpoint] = field(default_factory=set[Endpoint])
    refused: dict[Endpoint, RequestRejected] = field(default_factory=dict[Endpoint, RequestRejected])
    final: bool = False
    """No further endpoint is to be asked after the last refusal."""

    def was_refused(self, endpoint: Endpoint, refusal: RequestRejected) -> None:
        """Remember a refusal: one server's may be its own fault, several servers' are the request's."""
        self.final = endpoint in self.refused or len(self.refused) + 1 >= _REFUSALS
        self.refused[endpoint] = refusal

    def failed(self, endpoint: Endpoint, fault: Fault) -> None:
        """Remember a failed attempt; so many in a row bar the endpoint."""
        self.last = str(fault)
        self.in_a_row = self.in_a_row + 1 if endpoint is self.endpoint else 1
        self.endpoint = endpoint
        if fault.in_a_row is not None and self.in_a_row >= fault.in_a_row:
            self.barred.add(endpoint)

    def avoid(self, endpoints: Sequence[Endpoint]) -> Set[Endpoint]:
        """Endpoints to pass over if another is healthy; those that refused, before all."""
        if not self.tries:
            return frozenset()
        passed = {*self.barred, *self.refused}
        if self.endpoint is not None:
            passed.add(self.endpoint)
        return passed if any(e.healthy and e not in passed for e in endpoints) else self.refused.keys()

    def new_round(self) -> None:
        """Let every endpoint be tried again."""
        self.barred.clear()
        self.in_a_row = 0
