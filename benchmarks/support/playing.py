"""Plays a run as the command does, timed from its first episode on."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass

from harness.running import plan as planning
from harness.running.progress import PlainProgress
from harness.running.request import RunRequest
from harness.running.resume import open_store, remaining_items
from harness.running.runner import Runner
from harness.storage.store import Attempt

IN_A_ROW = 256
"""Ends of episodes or requests between which the least CPU time is looked for."""


@dataclass(frozen=True, slots=True)
class Played:
    """What a run took, in seconds, and the prompts it sent, by episode.

    Attributes:
        steady: CPU of an episode, by `steady`.
    """

    cpu: float
    wall: float
    prompts: Sequence[Sequence[str]]
    steady: float


class Clock(PlainProgress):
    """Measures from the first episode to the last."""

    def start(self, planned: dict[str, int], done: dict[str, int], turns: dict[str, int]) -> None:
        self.ends: list[float] = []
        self.cpu, self.wall = cpu_s(), time.perf_counter()
        super().start(planned, done, turns)

    def finished(self, attempt: Attempt) -> None:
        super().finished(attempt)
        self.ends.append(cpu_s())

    def stop(self) -> None:
        self.cpu, self.wall = cpu_s() - self.cpu, time.perf_counter() - self.wall


def cpu_s() -> float:
    """CPU time of this process, all threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def steady(ends: Sequence[float]) -> float:
    """CPU of one request in the cheapest `IN_A_ROW` of them, by the CPU time at which each ended.

    Other processes on the same cores empty their caches, which costs CPU time as well; in some moments they
    do so less than in others.
    """
    return min((b - a) / IN_A_ROW for a, b in zip(ends, ends[IN_A_ROW:], strict=False))


def played(request: RunRequest) -> Played:
    """Play a new run to its end; it must succeed."""
    plan = planning.make(request)
    directory = request.execution.out
    assert directory is not None
    store, clock = open_store(plan, directory), Clock()
    summary = asyncio.run(Runner(plan, store, directory, clock).run(remaining_items(plan, store)))
    assert summary.exit_code == 0, summary
    prompts = [[call.prompt for call in store.calls(row.id)] for row in store.attempts()]
    store.close()
    return Played(clock.cpu, clock.wall, prompts, steady(clock.ends) if len(clock.ends) > IN_A_ROW else 0.0)
