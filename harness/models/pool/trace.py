"""The attempts of one request so far, and how long it may still take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from harness.errors import RequestRejected
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Fault
from harness.models.pool.line import Place
from harness.types.empty import empty

_REFUSALS = 3
"""After this many endpoints refused a request, no other is asked."""


class Deadline:
    """The time a request has; the clock stops while the request queues behind others.

    Were the time in the queue counted, a queue longer than the deadline would turn into infrastructure
    errors. With no healthy endpoint left it is counted.
    """

    def __init__(self, timeout: asyncio.Timeout, seconds: float) -> None:
        """The clock stands still until `resume`: most requests queue first, and need no timer for that.

        Args:
            timeout: without an end yet; it gets and loses one as the clock runs and stops.
            seconds: of the event loop.
        """
        self._timeout = timeout
        self._left: float | None = seconds

    def pause(self) -> None:
        """Stop the clock. Idempotent."""
        ends = self._timeout.when()
        if self._left is None and ends is not None:
            self._left = ends - asyncio.get_running_loop().time()
            self._timeout.reschedule(None)

    def resume(self) -> None:
        """Let the clock run on. Idempotent."""
        if self._left is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._left)
            self._left = None


@dataclass(slots=True)
class Trace:
    """Attempts so far, and the endpoints that are not to be tried next.

    Attributes:
        place: where the request stands in every line that it waits in.
        attempt_limit_s: what one attempt may take; None leaves it to the deadline.
        tries: attempts so far.
        last: why the last attempt failed.
        endpoint: where the last attempt failed, `in_a_row` times.
        failing_since: when the first attempt that failed began.
        barred: endpoints that used up this request's attempts in a row.
        refused: endpoints that refused the request, with their words.
    """

    deadline: Deadline
    place: Place
    attempt_limit_s: float | None = None
    tries: int = 0
    last: str = "no endpoint was free or healthy"
    endpoint: Endpoint | None = None
    in_a_row: int = 0
    failing_since: float | None = None
    barred: set[Endpoint] = field(default_factory=set[Endpoint])
    refused: dict[Endpoint, RequestRejected] = field(default_factory=empty)
    final: bool = False
    """No further endpoint is to be asked after the last refusal."""

    def was_refused(self, endpoint: Endpoint, refusal: RequestRejected) -> None:
        """Remember a refusal; a single server may be wrong, several that agree are not."""
        self.final = endpoint in self.refused or len(self.refused) + 1 >= _REFUSALS
        self.refused[endpoint] = refusal

    def failed(self, endpoint: Endpoint, fault: Fault, *, began: float) -> None:
        """Remember a failed attempt; after several in a row this request avoids the endpoint."""
        if self.failing_since is None:
            self.failing_since = began
        self.last = str(fault)
        self.in_a_row = self.in_a_row + 1 if endpoint is self.endpoint else 1
        self.endpoint = endpoint
        if fault.in_a_row is not None and self.in_a_row >= fault.in_a_row:
            self.barred.add(endpoint)

    def avoid(self, endpoints: Sequence[Endpoint]) -> Set[Endpoint]:
        """Endpoints to pass over where another is healthy; those that refused before all."""
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
