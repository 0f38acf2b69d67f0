"""Endpoints that serve one model: least outstanding, sticky by episode, healing by itself."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol, TypeVar

from harness.errors import ContextOverflow, EndpointError, RequestRejected
from harness.models.pool.balance import Balance
from harness.models.pool.clock import Clock
from harness.models.pool.endpoint import Endpoint, Waiter
from harness.models.pool.faults import Fault
from harness.models.pool.trace import Deadline, Trace

log = logging.getLogger(__name__)
_BACKOFF_S, _BACKOFF_MAX_S = 0.5, 30.0
_EJECT_AFTER = 3
_HEALTH_S = 5.0
_OUTAGE_S = 30.0
"""What a request gets when the outage has already used up its deadline."""


class Measured(Protocol):
    """What an attempt's result tells the adaptive limit."""

    @property
    def queue_s(self) -> float | None:
        """Seconds spent in the server's queue, None when it does not say."""

    @property
    def output_tokens(self) -> int:
        """Tokens generated."""
        ...


R = TypeVar("R", bound=Measured)


class Pool:
    """Runs requests on endpoints until they succeed or their deadline passes.

    Args:
        endpoints: all serve the same model.
        alive: asks an ejected endpoint whether it is back (its `/health`, and who it is).
        concurrency: most requests in flight over all endpoints.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        alive: Callable[[Endpoint], Awaitable[bool]],
        concurrency: int | None = None,
        clock: Clock | None = None,
        seed: int = 0,
    ) -> None:
        self.endpoints = list(endpoints)
        self.clock = clock or Clock()
        self.balance = Balance(self.endpoints)
        self._alive = alive
        self._gate = asyncio.Semaphore(concurrency) if concurrency else None
        self._random = random.Random(seed)
        self._stranded: list[Waiter] = []
        self._queued: set[Deadline] = set()
        self._dead_since: float | None = None
        """Since when no endpoint is healthy."""
        self._healer: asyncio.Task[None] | None = None
        if any(not endpoint.healthy for endpoint in endpoints):
            self._heal()

    async def run(
        self, key: str, attempt: Callable[[Endpoint], Awaitable[R]], *, deadline_s: float
    ) -> tuple[R, Endpoint, int]:
        """Attempt until it succeeds; returns the result, where, and the number of attempts.

        Args:
            key: the episode; its requests stay on one endpoint while that is healthy.
            attempt: one try at one endpoint; raises `Fault` when another may succeed.
            deadline_s: for the request with all its retries and waits.

        Raises:
            EndpointError: the deadline passed.
        """
        if self._dead_since is not None:  # an outage is waited out once, not once by every request
            left = deadline_s - (self.clock.now() - self._dead_since)
            deadline_s = min(deadline_s, max(_OUTAGE_S, left))
        trace: Trace | None = None
        try:
            async with self.clock.timeout(deadline_s) as timeout:
                trace = Trace(Deadline(timeout), self._patience_s(deadline_s))
                while True:
                    try:
                        result, endpoint = await self._once(key, attempt, trace)
                    except Fault as fault:
                        log.debug("%s: attempt %d: %s", key, trace.tries, fault)
                    except RequestRejected as refusal:
                        if not self._elsewhere(trace, refusal):
                            raise
                        continue
                    else:
                        self._wrongly_refused(trace)
                        return result, endpoint, trace.tries
                    await self.clock.sleep(self._backoff(trace))
        except TimeoutError:
            tries, last = (trace.tries, trace.last) if trace else (0, "")
            raise EndpointError(f"no answer within {deadline_s:g} s after {tries} attempts; {last}") from None

    async def close(self) -> None:
        """Stop asking ejected endpoints for their health."""
        if self._healer is not None:
            self._healer.cancel()
            await asyncio.gather(self._healer, return_exceptions=True)
            self._healer = None

    def stats(self) -> dict[str, Any]:
        """Counters of every endpoint, for the manifest and `doctor`."""
        return {"moved": self.balance.moved, "endpoints": [endpoint.stats() for endpoint in self.endpoints]}

    async def _once(
        self, key: str, attempt: Callable[[Endpoint], Awaitable[R]], trace: Trace
    ) -> tuple[R, Endpoint]:
        if self._gate is None:
            return await self._attempt(key, attempt, trace)
        with self._queueing(trace.deadline) if self._gate.locked() else nullcontext():
            await self._gate.acquire()
        try:
            return await self._attempt(key, attempt, trace)
        finally:
            self._gate.release()

    async def _attempt(
        self, key: str, attempt: Callable[[Endpoint], Awaitable[R]], trace: Trace
    ) -> tuple[R, Endpoint]:
        endpoint = await self._acquire(key, trace)
        trace.tries += 1
        epoch, started = endpoint.limit.epoch, self.clock.now()
        try:
            result = await self._patient(attempt, endpoint, trace.patience_s)
        except Fault as fault:
            trace.failed(endpoint, fault)
            self._fault(endpoint, fault, epoch)
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
            endpoint.limit.succeeded(
                epoch,
                in_flight=endpoint.outstanding,
                latency_s=self.clock.now() - started,
                queue_s=result.queue_s,
                tokens=result.output_tokens,
            )
            return result, endpoint
        finally:
            endpoint.outstanding -= 1
            self._feed(endpoint)

    def _patience_s(self, deadline_s: float) -> float | None:
        """What one attempt may take: where there are others, one endpoint cannot use up all the time."""
        return deadline_s / 2 if len(self.endpoints) > 1 else None

    async def _patient(
        self, attempt: Callable[[Endpoint], Awaitable[R]], endpoint: Endpoint, patience_s: float | None
    ) -> R:
        if patience_s is None:
            return await attempt(endpoint)
        try:
            async with self.clock.timeout(patience_s):
                return await attempt(endpoint)
        except TimeoutError:
            raise Fault(
                "timeout", f"{endpoint.url} took half of the request's {2 * patience_s:g} s"
            ) from None

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
            self._fault(endpoint, Fault("refused", str(refusal)), endpoint.limit.epoch)

    def _backoff(self, trace: Trace) -> float:
        usable = [e for e in self.endpoints if e.healthy and e not in trace.barred]
        if not usable and any(e.healthy for e in self.endpoints):
            # Every endpoint used up its attempts in a row: a new round, after a long pause.
            trace.new_round()
            return _BACKOFF_MAX_S
        return self._random.uniform(0, min(_BACKOFF_MAX_S, _BACKOFF_S * 2.0 ** min(trace.tries - 1, 10)))

    # Choosing an endpoint

    async def _acquire(self, key: str, trace: Trace) -> Endpoint:
        endpoint = self.balance.choose(key, trace.avoid(self.endpoints))
        if endpoint is not None and endpoint.free:
            endpoint.outstanding += 1
            return endpoint
        waiter = Waiter(key, asyncio.get_running_loop().create_future())
        (self._stranded if endpoint is None else endpoint.waiters).append(waiter)
        try:
            with self._queueing(trace.deadline):
                return await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled():  # granted and cancelled at once
                taken = waiter.granted.result()
                taken.outstanding -= 1
                self._feed(taken)
            raise

    @contextmanager
    def _queueing(self, deadline: Deadline) -> Generator[None, None, None]:
        self._queued.add(deadline)
        if self._dead_since is None:
            deadline.pause()
        try:
            yield
        finally:
            self._queued.discard(deadline)
            deadline.resume()

    def _feed(self, endpoint: Endpoint) -> None:
        """Hand free slots to those who wait, first to the endpoint's own."""
        while endpoint.free:
            waiter = endpoint.next_waiter() or self.balance.steal(endpoint)
            if waiter is None:
                return
            endpoint.outstanding += 1
            waiter.granted.set_result(endpoint)

    # Health

    def _fault(self, endpoint: Endpoint, fault: Fault, epoch: int) -> None:
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
            self._rehome(endpoint)
            self._heal()

    def _rehome(self, endpoint: Endpoint) -> None:
        waiting, healthy = endpoint.drain(), [e for e in self.endpoints if e.healthy]
        if not healthy:
            self._dead_since = self.clock.now()
            for deadline in self._queued:
                deadline.resume()
        for waiter in waiting:
            target = self.balance.settle(waiter.key, healthy) if healthy else None
            (self._stranded if target is None else target.waiters).append(waiter)
        for other in healthy:
            self._feed(other)

    def _heal(self) -> None:
        if self._healer is None or self._healer.done():
            self._healer = asyncio.get_running_loop().create_task(self._healing(), name="endpoint-health")

    async def _healing(self) -> None:
        while sick := [e for e in self.endpoints if not e.healthy]:
            await self.clock.sleep(_HEALTH_S)
            answers = await asyncio.gather(*map(self._alive, sick), return_exceptions=True)
            for endpoint, back in zip(sick, answers, strict=True):
                if isinstance(back, Exception):
                    log.error("%s: its health cannot be asked: %s", endpoint.url, back)
                elif back is True:
                    self._readmit(endpoint)

    def _readmit(self, endpoint: Endpoint) -> None:
        log.warning("%s is back in the pool", endpoint.url)
        endpoint.healthy, endpoint.failures = True, 0
        endpoint.limit.returned()
        if self._dead_since is not None:
            self._dead_since = None
            for deadline in self._queued:
                deadline.pause()
        waiting, self._stranded, healthy = self._stranded, [], [e for e in self.endpoints if e.healthy]
        for waiter in (one for one in waiting if not one.granted.done()):
            self.balance.settle(waiter.key, healthy).waiters.append(waiter)
        for other in self.endpoints:
            self._feed(other)
