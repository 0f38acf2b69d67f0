"""What a run is doing at one moment: its live episodes and its endpoints, for whoever shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.models.api import Model
from harness.models.clients.base import BaseModel
from harness.running.scheduler import TaskQueue


@dataclass(frozen=True, slots=True)
class EndpointLook:
    """One endpoint of the model under test.

    Attributes:
        flying: requests in flight.
        limit: most of them at the moment.
        answered: requests answered since the command began.
    """

    url: str
    healthy: bool
    flying: int
    limit: int
    answered: int


@dataclass(frozen=True, slots=True)
class Look:
    """One moment of a run.

    Attributes:
        turns: the turns that each task's live episodes have made so far, one entry per live episode.
        endpoints: of the model under test; none when it runs inside the harness.
        flying: requests in flight.
        queued: requests that wait for a free endpoint.
        tokens: tokens generated since the command began.
        outage_s: for how long no endpoint has been alive; None while one is.
        deadline_s: how long a request waits for an endpoint before it fails.
    """

    turns: Mapping[str, tuple[int, ...]]
    endpoints: tuple[EndpointLook, ...] = ()
    flying: int = 0
    queued: int = 0
    tokens: int = 0
    outage_s: float | None = None
    deadline_s: float = 0.0

    @property
    def live(self) -> int:
        """Live episodes."""
        return sum(map(len, self.turns.values()))


def pressure(model: Model) -> float:
    """`Pool.pressure` of the model under test; 0 of one without a pool."""
    return model.pool.pressure if isinstance(model, BaseModel) else 0.0


def look(model: Model, queues: Iterable[TaskQueue], deadline_s: float) -> Look:
    """Read the state of a run; cheap enough for several times a second."""
    turns = {queue.name: tuple(activity.turn for activity in queue.live.values()) for queue in queues}
    if not isinstance(model, BaseModel):
        return Look(turns)
    pool = model.pool
    shown = () if model.entry.local else pool.endpoints
    return Look(
        turns,
        tuple(EndpointLook(e.url, e.healthy, e.outstanding, e.limit.room, e.served) for e in shown),
        sum(endpoint.outstanding for endpoint in pool.endpoints),
        pool.waiting,
        sum(endpoint.tokens for endpoint in pool.endpoints),
        pool.outage_s,
        deadline_s,
    )
