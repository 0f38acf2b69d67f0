"""Follows the game's walkthrough, or the planner's plan where the file has none."""

from __future__ import annotations

from collections.abc import Sequence

from harness.episode import BaseOracle
from harness.types import Observation


class AlfWorldOracle(BaseOracle):
    """Gives the winning commands in order, in the form the exemplars use."""

    def __init__(self, walkthrough: Sequence[str]) -> None:
        self._steps = list(walkthrough)
        self._next = 0

    async def reply(self, observation: Observation) -> str:
        """Give the next command; after the last one, look around."""
        self._steps = self._steps or list(observation.info.get("plan", ()))
        step = self._steps[self._next] if self._next < len(self._steps) else "look"
        self._next += 1
        return f"THOUGHT: The next step of the plan.\n ACTION: {step}\n"
