"""Shows on a terminal, or in a log, how far a run is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from harness.running.look import Look
from harness.running.progress_text import one_line, outage
from harness.running.tally import Tally
from harness.storage.store import Attempt

log = logging.getLogger("harness.run")

EVERY_S = 10.0
"""Plain output: at most one line in this time."""
TICK_S = 0.25
"""Seconds between two looks at a run."""


class Progress(Protocol):
    """Is called as a run goes on."""

    def start(self, planned: dict[str, int], done: dict[str, int], turns: dict[str, int]) -> None:
        """Called once before the first episode, with counts by task and a task's expected turns."""
        ...

    def finished(self, attempt: Attempt) -> None:
        """Called after an attempt was committed."""
        ...

    def tick(self, seen: Look) -> None:
        """Called several times a second with what the run is doing."""
        ...

    def stop(self) -> None:
        """Called once at the end, also after failures."""
        ...


@asynccontextmanager
async def ticking(progress: Progress, see: Callable[[], Look]) -> AsyncGenerator[None]:
    """Show the run regularly while the block is entered."""
    ticks = asyncio.create_task(_tick(progress, see))
    try:
        yield
    finally:
        ticks.cancel()
        with suppress(asyncio.CancelledError):
            await ticks


async def _tick(progress: Progress, see: Callable[[], Look]) -> None:
    while True:
        progress.tick(see())
        await asyncio.sleep(TICK_S)


class PlainProgress:
    """Lines for logs: at most one every ten seconds, and one at once when the last endpoint dies."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._last = 0.0
        self._shown = ""
        self._out = False

    def start(self, planned: dict[str, int], done: dict[str, int], turns: dict[str, int]) -> None:
        """Begin to count."""
        self.tally.start(planned, done, turns)
        self._last = time.monotonic()

    def finished(self, attempt: Attempt) -> None:
        """Count an attempt."""
        self.tally.add(attempt)

    def tick(self, seen: Look) -> None:
        """Write a line when it is due."""
        self.tally.see(seen)
        self.tell_outage(seen)
        if time.monotonic() - self._last >= EVERY_S:
            self._say()

    def tell_outage(self, seen: Look) -> None:
        """Log at once that the last endpoint died, or that one is back."""
        out = seen.outage_s is not None
        if out != self._out:
            self._out = out
            log.warning(outage(self.tally) if out else "an endpoint is alive again")

    def _say(self) -> None:
        self._last = time.monotonic()
        line = one_line(self.tally)
        if line != self._shown:  # a run without progress logs one line, not the same one again
            log.info(line)
        self._shown = line

    def stop(self) -> None:
        """Write how it ended."""
        self.tally.end()
        log.info(one_line(self.tally))
