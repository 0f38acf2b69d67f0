"""Estimates the requests, tokens and time of a plan, and when to ask a person before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from harness.models.pool.limits import PER_ENDPOINT
from harness.running.plan import Plan
from harness.storage.store import EpisodeKey

MANY = 10_000
"""Beyond so many requests against an endpoint, a person is asked before they are sent."""

PROMPT, REPLY, SECONDS = 1_000, 150, 5.0
"""Assumed of one request until answers are in: tokens of its prompt and its reply, and how long it takes."""

_INSIDE = ("oracle", "replay")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left of a plan, roughly.

    Attributes:
        requests: to the model under test, by each task's expected turns.
        flights: requests that are under way at once.
        remote: they go to an endpoint.
    """

    requests: int
    flights: int
    remote: bool

    @property
    def many(self) -> bool:
        """Whether a person should agree first."""
        return self.remote and self.requests > MANY

    def __str__(self) -> str:
        hours = self.requests * SECONDS / self.flights / 3600
        tokens = self.requests * (PROMPT + REPLY) / 1e6
        return (
            f"about {self.requests:,} requests and {tokens:,.0f} million tokens, {hours:,.1f} h with "
            f"{self.flights} requests at a time (assumed: {PROMPT:,} tokens of prompt, {REPLY} of reply and "
            f"{SECONDS:g} s for each)"
        )


def estimate(plan: Plan, remaining: set[EpisodeKey]) -> Estimate:
    """Estimate what is left to play."""
    models, turns = plan.request.models, {task.spec.name: task.spec.expected_turns for task in plan.tasks}
    entry = models.entry()
    ends = len(models.endpoints) or len(entry.endpoints) or 1
    flights = models.concurrency or PER_ENDPOINT * ends
    return Estimate(sum(turns[item.task] for item in remaining), flights, entry.kind not in _INSIDE)
