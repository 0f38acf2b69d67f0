"""Plays a question with its two gold pages: search both, then finish with the gold answer."""

from __future__ import annotations

import re

from harness.episode import BaseOracle
from harness.types import Observation, Sample

_TAIL = re.compile(r"(Thought|Action) (\d+):$")


class HotpotOracle(BaseOracle):
    """Reads from the prompt's end what is asked for, so that it can play any of the five agents."""

    def __init__(self, sample: Sample) -> None:
        self._titles: tuple[str, ...] = tuple(sample.data["titles"])
        self._answer = str(sample.data["answer"])

    async def reply(self, observation: Observation) -> str:
        prompt = observation.raw
        if prompt is None:
            prompt = observation.messages[-1].content if observation.messages else ""
        tail = _TAIL.search(prompt)
        if tail is None:
            return "Search both pages, then finish."
        if tail.group(1) == "Thought":
            return "next"
        step = int(tail.group(2))
        if step <= len(self._titles):
            return f"Search[{self._titles[step - 1]}]"
        return f"Finish[{self._answer}]"
