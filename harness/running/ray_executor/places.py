"""Where workers run, what each is told, and which part of the requests in flight it gets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from harness.models.api import Model
from harness.models.pool.limits import PER_ENDPOINT
from harness.running.plan import Plan
from harness.running.queue import QueuedEpisode
from harness.running.ray_executor import same, settings
from harness.running.ray_executor.messages import Handed, Opened, Opening, Report
from harness.running.resume import plain_json
from harness.storage.store import EpisodeKey


class WorkerLost(Exception):
    """A worker is gone; with `forever` its node is as well, and none is started in its place."""

    def __init__(self, why: str, *, forever: bool = False) -> None:
        super().__init__(why)
        self.forever = forever


class Worker(Protocol):
    """A worker as the command sees it; every method is bounded, and raises `WorkerLost` when it is gone."""

    async def open(self, opening: Opening) -> Opened:
        """As `WorkerPlayer.open`."""
        ...

    async def exchange(
        self, handed: Sequence[Handed], over: Sequence[str], *, stop: bool, requests: int
    ) -> Report:
        """As `WorkerPlayer.exchange`."""
        ...

    async def close(self) -> None:
        """Close it, or kill it where it does not answer; raises nothing."""
        ...


@dataclass(slots=True, eq=False)
class Place:
    """Where a worker runs, and what it has.

    Attributes:
        name: of node and worker, as log lines name it.
        start: starts a worker there.
        opening: what it is told.
        requests: its share of the requests in flight.
        held: episodes that were handed over, by item.
        unable: tasks that are not played there.
        gone: no worker runs there any more.
        told: the last report, and when it came by the monotonic clock.
        refused: why no worker plays there.
    """

    name: str
    start: Callable[[], Worker]
    opening: Opening
    requests: int = 1
    held: dict[EpisodeKey, QueuedEpisode] = field(default_factory=dict[EpisodeKey, QueuedEpisode])
    unable: set[str] = field(default_factory=set[str])
    gone: bool = False
    told: Report | None = None
    told_at: float = 0.0
    spare: int = 0
    refused: str = ""

    def count(self, task: str) -> int:
        """How many episodes of a task it has."""
        return sum(item.task == task for item in self.held)


def places(
    plan: Plan, tested: Model, starts: Mapping[str, Callable[[], Worker]], neighbours: int
) -> list[Place]:
    """Make a place for each worker; where there are more workers than requests in flight, the last have none.

    Args:
        plan: of the run.
        tested: the model under test, as the command opened it.
        starts: starts a worker, by its name.
        neighbours: how many of them share a machine.
    """
    models = plan.request.models
    endpoints = len(tested.info["endpoints"]) or 1
    requests = models.concurrency or PER_ENDPOINT * endpoints
    shares = shared_out(requests, len(starts))
    told = Opening(
        plan.request,
        same.package(),
        {task.spec.name: same.task_facts(task) for task in plan.tasks},
        plain_json(dict(tested.info["identity"])),
        settings.travelling(models),
        neighbours,
        logging.getLogger().getEffectiveLevel(),
        requests,
    )
    found: list[Place] = []
    for (name, start), share in zip(starts.items(), shares, strict=False):
        request = replace(plan.request, models=replace(models, concurrency=share, judge=None))
        found.append(Place(name, start, replace(told, request=request), share))
    return found


def shared_out(requests: int, workers: int) -> list[int]:
    """Divide requests in flight among workers, at least one each; more workers than requests are not used."""
    used = min(requests, workers)
    return [requests // used + (number < requests % used) for number in range(used)]
