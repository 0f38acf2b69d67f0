"""Runs requests on a model's endpoints, with retries, until they succeed or their deadline passes."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

from harness.errors import ContextOverflow, EndpointError, RequestRejected
from harness.models.pool.clock import Clock
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Fault
from harness.models.pool.health import Alive, Health
from harness.models.pool.limits import cap_for
from harness.models.pool.line import Gate
from harness.models.pool.pauses import Pauses
from harness.models.pool.slots import Slots
from harness.models.pool.trace import Deadline, Trace

log = logging.getLogger(__name__)
_BACKOFF_S, _BACKOFF_MAX_S = 0.5, 30.0
_OUTAGE_S = 30.0
"""What a request gets when the outage has already used up its deadline."""


class Measured(Protocol):
    """What the result of an attempt tells the adaptive limit."""

    @property
    def queue_s(self) -> float | None:
        """Seconds spent in the server's queue, None when the server does not tell."""

    @property
    def output_tokens(self) -> int:
        """Tokens generated."""
        ...


R = TypeVar("R", bound=Measured)


class Pool:
    """Endpoints that serve one model: each request goes to its episode's endpoint, else to the least loaded.

    Args:
        endpoints: all serve the same model.
        alive: asks an endpoint outside the pool whether it is back.
        concurrency: most requests in flight over all endpoints.
        clock: how fast time passes; tests only.
        seed: of the backoff's jitter.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        alive: Alive,
        concurrency: int | None = None,
        clock: Clock | None = None,
        seed: int = 0,
    ) -> None:
        self.endpoints = list(endpoints)
        self._clock, self._alive = clock or Clock(), alive
        self._slots = Slots(self.endpoints, self._clock)
        self._health = Health(self.endpoints, self._slots, self._clock, alive)
        self._gate = Gate(concurrency) if concurrency else None
        self._at_once = self._most = concurrency or 0
        self._arrivals = itertools.count()
        self._pauses = Pauses(self._clock)
        self._random = random.Random(seed)
        self._aborted: Exception | None = None

    async def run(
        self,
        key: str,
        attempt: Callable[[Endpoint], Awaitable[R]],
        *,
        deadline_s: float,
        turns_left: float = math.inf,
    ) -> tuple[R, Endpoint, int]:
        """Attempt until it succeeds; returns the result, where, and the number of attempts.

        Args:
            key: the episode; its requests stay on one endpoint while that is healthy.
            attempt: one try at one endpoint; raises `Fault` when another may succeed.
            deadline_s: for the request with all its retries and waits.
            turns_left: which the episode still expects to make; where requests wait, the most go first.

        Raises:
            EndpointError: the deadline passed.
        """
        if (outage_s := self._slots.outage_s) is not None:  # every request waits for the end of one outage
            deadline_s = min(deadline_s, max(_OUTAGE_S, deadline_s - outage_s))
        place, trace = (-turns_left, next(self._arrivals)), cast("Trace | None", None)
        try:
            async with asyncio.timeout(None) as timeout:
                deadline = Deadline(timeout, self._clock.in_loop(deadline_s))
                trace = Trace(deadline, place, self._attempt_limit_s(deadline_s))
                while True:
                    try:
                        result, endpoint = await self._once(key, attempt, trace)
                    except Fault as fault:
                        log.debug("%s: attempt %d: %s", key, trace.tries, fault)
                        pause_s = self._backoff(trace)
                        self._pauses.begin(trace, fault, pause_s)
                    except RequestRejected as refusal:
                        if not self._elsewhere(trace, refusal):
                            raise
                        continue
                    else:
                        self._wrongly_refused(trace)
                        return result, endpoint, trace.tries
                    await self._clock.sleep(pause_s)
        except TimeoutError:
            tries, last = (trace.tries, trace.last) if trace else (0, "")
            raise EndpointError(f"no answer within {deadline_s:g} s after {tries} attempts; {last}") from None

    @property
    def outage_s(self) -> float | None:
        """For how long no endpoint has been healthy; None while one is."""
        return self._slots.outage_s

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return self._slots.waiting

    @property
    def pressure(self) -> float:
        """Requests that wait for a slot, less the slots that are free, as a share of all slots.

        Below 0 more requests would be served at once; 0 while no endpoint is healthy.
        """
        healthy = [endpoint for endpoint in self.endpoints if endpoint.healthy]
        slots = min(self._at_once or math.inf, sum(endpoint.limit.room for endpoint in healthy))
        flying = sum(endpoint.outstanding for endpoint in healthy)
        return (self.waiting + flying) / slots - 1.0 if slots else 0.0

    def at_most(self, requests: int) -> None:
        """Bound the requests in flight anew, by no more than what the pool was opened with."""
        if self._gate is None:
            return
        at_once = min(requests, self._most)
        for endpoint in self.endpoints:
            able = endpoint.capabilities
            endpoint.limit.reach(cap_for(able.max_concurrent if able else 0, at_once)[1])
        self._gate.widen(at_once - self._at_once)
        self._at_once = at_once
        self._slots.grant()

    def abort(self, error: Exception) -> None:
        """Let every request that waits for a slot, and every later one, fail with this error."""
        self._aborted = error
        self._slots.fail(error)

    def part(self, endpoints: Sequence[Endpoint]) -> Pool:
        """A pool of some of the endpoints, for what is asked of them alone; who asked for it closes it."""
        return Pool(endpoints, alive=self._alive, clock=self._clock)

    async def close(self) -> None:
        """Stop asking ejected endpoints for their health."""
        await self._health.close()

    def stats(self) -> dict[str, Any]:
        """Counters of every endpoint, for the log."""
        return {"moved": self._slots.moved, "endpoints": [endpoint.stats() for endpoint in self.endpoints]}

    async def _once(
        self, key: str, attempt: Callable[[Endpoint], Awaitable[R]], trace: Trace
    ) -> tuple[R, Endpoint]:
        if self._gate is None:
            return await self._attempt(key, attempt, trace)
        if self._gate.locked:
            with self._slots.queueing(trace.deadline):
                await self._gate.acquire(key, trace.place)
        else:
            trace.deadline.resume()  # it may wait all the same, for those who go first
            await self._gate.acquire(key, trace.place)
        try:
            return await self._attempt(key, attempt, trace)
        finally:
            self._gate.release(trace.place)

    async def _attempt(
        self, key: str, attempt: Callable[[Endpoint], Awaitable[R]], trace: Trace
    ) -> tuple[R, Endpoint]:
        if self._aborted is not None:
            raise self._aborted
        endpoint = await self._slots.acquire(key, trace)
        trace.deadline.resume()
        trace.tries += 1
        epoch, started = endpoint.limit.epoch, self._clock.now()
        try:
            result = await self._limited(attempt, endpoint, trace.attempt_limit_s)
        except Fault as fault:
            trace.failed(endpoint, fault, began=started)
            self._health.failed(endpoint, fault, epoch)
            raise
        except ContextOverflow:
            endpoint.failures = 0
            raise
        except RequestRejected as refusal:
            trace.was_refused(endpoint, refusal)
            raise
        else:
            endpoint.failures = 0
            endpoint.served += 1
            endpoint.tokens += result.output_tokens
            endpoint.limit.succeeded(
                epoch,
                in_flight=endpoint.outstanding,
                latency_s=self._clock.now() - started,
                queue_s=result.queue_s,
                tokens=result.output_tokens,
            )
            return result, endpoint
        finally:
            self._slots.release(endpoint, trace.place)

    def _attempt_limit_s(self, deadline_s: float) -> float | None:
        """What one attempt may take: where there are others, one endpoint cannot use up all the time."""
        return deadline_s / 2 if len(self.endpoints) > 1 else None

    async def _limited(
        self, attempt: Callable[[Endpoint], Awaitable[R]], endpoint: Endpoint, limit_s: float | None
    ) -> R:
        if limit_s is None:
            return await attempt(endpoint)
        try:
            async with self._clock.timeout(limit_s):
                return await attempt(endpoint)
        except TimeoutError:
            message = f"{endpoint.url} took half of the request's {2 * limit_s:g} s"
            raise Fault("timeout", message) from None

    def _elsewhere(self, trace: Trace, refusal: RequestRejected) -> bool:
        """Whether another endpoint is still to be asked; where all refuse, they were right to."""
        if not trace.final and any(e.healthy and e not in trace.refused for e in self.endpoints):
            log.debug("refused, asking another endpoint: %s", refusal)
            return True
        for endpoint in trace.refused:
            endpoint.failures = 0  # it answered, and was right to refuse
        return False

    def _wrongly_refused(self, trace: Trace) -> None:
        """Count the refusals of what another endpoint then answered as faults."""
        for endpoint, refusal in trace.refused.items():
            self._health.failed(endpoint, Fault("refused", str(refusal)), endpoint.limit.epoch)

    def _backoff(self, trace: Trace) -> float:
        usable = [e for e in self.endpoints if e.healthy and e not in trace.barred]
        if not usable and any(e.healthy for e in self.endpoints):
            # Every endpoint used up its attempts in a row: a new round, after a long pause.
            trace.new_round()
            return _BACKOFF_MAX_S
        return self._random.uniform(0, min(_BACKOFF_MAX_S, _BACKOFF_S * 2.0 ** min(trace.tries - 1, 10)))
