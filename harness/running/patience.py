"""An event loop whose clock stops while its process is stopped, so that no deadline passes meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

GAP_S = 10.0
"""A loop that did not run its one-second timer for so long was stopped: by a signal,
with its machine, or because its own thread was held up."""
TICK_S = 1.0

T = TypeVar("T")


class PatientLoop(asyncio.SelectorEventLoop):
    """A loop whose `time`, used by every deadline, leaves out while the process was stopped."""

    def __init__(self) -> None:
        self._awake = time.monotonic()
        self._stood_still_s = 0.0
        super().__init__()

    def time(self) -> float:
        """Seconds since some fixed moment, without gaps."""
        now = time.monotonic()
        gap, self._awake = now - self._awake, now
        if gap > GAP_S:
            self._stood_still_s += gap
            log.warning("this process stood still for %.0f s; its deadlines are as much later", gap)
        return now - self._stood_still_s

    def run_forever(self) -> None:
        """Run until stopped, awake at least every `TICK_S`."""
        self._tick()
        try:
            super().run_forever()
        finally:
            self._ticking.cancel()

    def _tick(self) -> None:
        self._ticking = self.call_later(TICK_S, self._tick)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end, as `asyncio.run` does, on a patient loop."""
    with asyncio.Runner(loop_factory=PatientLoop) as runner:
        return runner.run(main)
