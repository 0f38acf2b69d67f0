"""Endpoints that serve one model."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from harness.errors import EndpointError
from harness.models.faults import Fault

T = TypeVar("T")
log = logging.getLogger(__name__)
_BACKOFF_S, _BACKOFF_MAX_S = 0.5, 30.0


@dataclass(slots=True)
class Endpoint:
    """One replica."""

    url: str


class Pool:
    """Runs requests on endpoints, in turn, until they succeed or their deadline passes."""

    def __init__(
        self, urls: Sequence[str], *, concurrency: int | None = None, scale: float = 1.0, seed: int = 0
    ) -> None:
        self.endpoints = [Endpoint(url.rstrip("/")) for url in urls]
        self._turn = count()
        self._slots = asyncio.Semaphore(concurrency or 120 * len(urls))
        self._scale = scale
        self._random = random.Random(seed)

    async def run(
        self, key: str, attempt: Callable[[Endpoint], Awaitable[T]], *, deadline_s: float
    ) -> tuple[T, Endpoint, int]:
        """Attempt until it succeeds; returns the result, where, and the number of attempts."""
        tries, last = 0, "no attempt was made"
        try:
            async with asyncio.timeout(deadline_s / self._scale):
                while True:
                    endpoint = self.endpoints[next(self._turn) % len(self.endpoints)]
                    tries += 1
                    try:
                        async with self._slots:
                            return await attempt(endpoint), endpoint, tries
                    except Fault as fault:
                        last = str(fault)
                        log.debug("%s: attempt %d: %s", key, tries, last)
                    bound = min(_BACKOFF_MAX_S, _BACKOFF_S * 2 ** min(tries - 1, 10))
                    await asyncio.sleep(self._random.uniform(0, bound) / self._scale)
        except TimeoutError:
            pass
        raise EndpointError(f"no answer within {deadline_s:g} s after {tries} attempts; last: {last}")
