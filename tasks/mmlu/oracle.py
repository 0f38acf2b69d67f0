"""Chooses the gold letter."""

from __future__ import annotations

from harness.episode import BaseOracle
from harness.types import Observation
from tasks.mmlu.prompt import LETTERS


class MmluOracle(BaseOracle):
    """Knows the answer."""

    def __init__(self, gold: str) -> None:
        self._index = LETTERS.index(gold)

    async def reply(self, observation: Observation) -> str:
        """Give the gold option as the question offers it."""
        if observation.ask is None or not observation.ask.choices:
            return f"Answer: {LETTERS[self._index]}"
        return observation.ask.choices[self._index]
