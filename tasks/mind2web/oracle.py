"""Knows the right elements and what is to be done."""

from __future__ import annotations

from harness.episode import BaseOracle
from harness.types import Observation, Sample
from tasks.mind2web import action


class Mind2WebOracle(BaseOracle):
    """Names the first right element of a batch, or none."""

    def __init__(self, sample: Sample) -> None:
        self._step = sample.data

    async def reply(self, observation: Observation) -> str:
        targets = self._step["targets"]
        for place, id in enumerate(observation.info.get("choices", ())):
            if id in targets:
                letter = chr(ord(action.FIRST) + place)
                return action.reply(letter, self._step["op"], self._step["value"])
        return f"Answer: {action.NONE}."
