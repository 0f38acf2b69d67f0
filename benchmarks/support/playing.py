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


@dataclass(frozen=True, slots=True)
class Played:
    """What a run took, in seconds, and the prompts it sent, by episode."""

    cpu: float
    wall: float
    prompts: Sequence[Sequence[str]]


class Clock(PlainProgress):
    """Measures from the first episode to the last."""

    def start(self, planned: dict[str, int], done: dict[str, int], turns: dict[str, int]) -> None:
        self.cpu, self.wall = cpu_s(), time.perf_counter()
        super().start(planned, done, turns)

    def stop(self) -> None:
        self.cpu, self.wall = cpu_s() - self.cpu, time.perf_counter() - self.wall


def cpu_s() -> float:
    """CPU time of this process, all threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


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
    return Played(clock.cpu, clock.wall, prompts)
