"""Plays the simulator's own solution of a sample, which a fixture ships or which is computed on request."""

from __future__ import annotations

import asyncio
import json
from asyncio import AbstractEventLoop, Semaphore
from weakref import WeakKeyDictionary

from harness.episode import BaseOracle
from harness.types import Context, Observation, Sample
from tasks.sciworld.solver import solve

SHIPPED = "gold.json"
"""Solutions that come with a fixture, by sample id; the mirror has none."""

SPENT = "Think: nothing is left to do."

SOLVERS = 2
"""Solutions computed at a time; each takes 3 to 25 s and keeps a core busy."""

_solving: WeakKeyDictionary[AbstractEventLoop, Semaphore] = WeakKeyDictionary()


class SciWorldOracle(BaseOracle):
    """Answers with one action of the solution after the other."""

    def __init__(self, ctx: Context, sample: Sample) -> None:
        self._sample = sample
        self._actions = _shipped(ctx, sample)
        self._next = 0

    async def reply(self, observation: Observation) -> str:
        """Answer with the next action; a solution that is spent is followed by thoughts.

        Raises:
            EnvironmentFault: the simulator gives no solution.
        """
        del observation
        if self._actions is None:
            async with _solving.setdefault(asyncio.get_running_loop(), Semaphore(SOLVERS)):
                self._actions = await solve(self._sample.data["task"], self._sample.data["variation"])
        if self._next >= len(self._actions):
            return SPENT
        self._next += 1
        return f"Action: {self._actions[self._next - 1]}"


def _shipped(ctx: Context, sample: Sample) -> list[str] | None:
    shipped = ctx.data / SHIPPED
    if not shipped.exists():
        return None
    return json.loads(shipped.read_text(encoding="utf-8")).get(sample.id)
