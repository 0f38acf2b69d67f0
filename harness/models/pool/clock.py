"""The pool's clock, which tests may run faster."""

from __future__ import annotations

import asyncio


class Clock:
    """Seconds of the event loop, `scale` of them passing in one."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return asyncio.get_running_loop().time() * self._scale

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(self.in_loop(seconds))

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """Bound a block, as `asyncio.timeout` does."""
        return asyncio.timeout(self.in_loop(seconds))

    def in_loop(self, seconds: float) -> float:
        """The seconds of the event loop that so many of this clock take."""
        return seconds / self._scale
