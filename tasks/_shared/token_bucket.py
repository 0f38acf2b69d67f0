"""Paces callers: so many a second, some of them at once."""

from __future__ import annotations

import asyncio
import math


class TokenBucket:
    """Admits `rate` callers a second, and `burst` at once after a pause."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = float(burst), -math.inf

    async def take(self) -> None:
        """Wait until admitted; callers are admitted in the order of their calls."""
        now = asyncio.get_running_loop().time()
        if self._at > -math.inf:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1.0
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)
