"""Shows on a terminal, or in a log, how far a run is."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from typing import Protocol

from harness.storage.store import Attempt

log = logging.getLogger("harness.run")

EVERY_S = 10.0
"""Plain output: at most one line in this time."""


class Progress(Protocol):
    """Is called as a run goes on."""

    def start(self, planned: dict[str, int], done: dict[str, int]) -> None:
        """Called once before the first episode, with counts by task."""
        ...

    def finished(self, attempt: Attempt) -> None:
        """Called after an attempt was committed."""
        ...

    def stop(self) -> None:
        """Called once at the end, also after failures."""
        ...


class Tally:
    """Counts shared by both kinds of progress."""

    def __init__(self) -> None:
        self.planned: dict[str, int] = {}
        self.done: Counter[str] = Counter()
        self.infra: Counter[str] = Counter()
        self.sums: Counter[str] = Counter()
        self.valued: Counter[str] = Counter()
        self.tokens = 0
        self.began = time.monotonic()
        self.fresh = 0

    def start(self, planned: dict[str, int], done: dict[str, int]) -> None:
        """Begin with what an earlier command left."""
        self.planned, self.began = planned, time.monotonic()
        self.done.update(done)

    def add(self, attempt: Attempt) -> None:
        """Count one attempt."""
        if attempt.outcome == "infra_error":
            self.infra[attempt.task] += 1
            return
        self.done[attempt.task] += 1
        self.fresh += 1
        self.tokens += attempt.output_tokens
        if attempt.value is not None:
            self.valued[attempt.task] += 1
            self.sums[attempt.task] += attempt.value  # type: ignore[assignment]

    def left_s(self) -> float | None:
        """Estimated seconds to the end, from the rate so far."""
        left = sum(self.planned.values()) - sum(self.done.values())
        spent = time.monotonic() - self.began
        return left * spent / self.fresh if self.fresh >= 5 else None

    def line(self) -> str:
        """One line: `gsm8k 120/1319 mean 0.254 · 2 infra · 812 tok/s · 3 min left`."""
        spent = max(time.monotonic() - self.began, 1e-9)
        tasks = ", ".join(self._task(name) for name in self.planned if self.done[name] < self.planned[name])
        parts = [tasks or "all episodes done", f"{self.tokens / spent:.0f} tok/s"]
        if sum(self.infra.values()):
            parts.append(f"{sum(self.infra.values())} infra errors")
        left = self.left_s()
        if left is not None and tasks:
            parts.append(f"{_duration(left)} left")
        return " · ".join(parts)

    def _task(self, name: str) -> str:
        mean = f" mean {self.sums[name] / self.valued[name]:.3f}" if self.valued[name] else ""
        return f"{name} {self.done[name]}/{self.planned[name]}{mean}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class PlainProgress:
    """Lines for logs: at the start, then at most one every ten seconds."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._last = 0.0

    def start(self, planned: dict[str, int], done: dict[str, int]) -> None:
        self._tally.start(planned, done)
        self._last = time.monotonic()

    def finished(self, attempt: Attempt) -> None:
        self._tally.add(attempt)
        if time.monotonic() - self._last >= EVERY_S:
            self._last = time.monotonic()
            log.info(self._tally.line())

    def stop(self) -> None:
        log.info(self._tally.line())


class RichProgress:
    """A bar per task on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self._tally = Tally()
        self._rows = {}

    def start(self, planned: dict[str, int], done: dict[str, int]) -> None:
        self._tally.start(planned, done)
        self._rows = {
            name: self._bars.add_task(name, total=count, completed=done.get(name, 0), note="")
            for name, count in planned.items()
        }
        self._bars.start()

    def finished(self, attempt: Attempt) -> None:
        tally, name = self._tally, attempt.task
        tally.add(attempt)
        mean = f"{tally.sums[name] / tally.valued[name]:.3f}" if tally.valued[name] else ""
        infra = f" {tally.infra[name]} infra" if tally.infra[name] else ""
        self._bars.update(self._rows[name], completed=tally.done[name], note=mean + infra)

    def stop(self) -> None:
        self._bars.stop()


def for_terminal() -> Progress:
    """Bars when stderr is a terminal, plain lines otherwise."""
    return RichProgress() if sys.stderr.isatty() else PlainProgress()
