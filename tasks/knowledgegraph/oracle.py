"""Plays a question's gold program, one call a turn, and names its last variable."""

from __future__ import annotations

from harness.episode import BaseOracle
from harness.types import Observation, Sample
from tasks.knowledgegraph.rows import PRODUCERS, GoldCall


class KgOracle(BaseOracle):
    """Names entities as the question does; with `ids` it writes their ids, which no model is shown."""

    def __init__(self, sample: Sample, *, ids: bool) -> None:
        names = {ident: name for name, ident in sample.data["entities"].items()}
        self._names: dict[str, str] = {} if ids else names
        self._calls: tuple[GoldCall, ...] = sample.data["calls"]
        self._next = 0

    async def reply(self, observation: Observation) -> str:
        del observation
        if self._next >= len(self._calls):
            last = sum(call.name in PRODUCERS for call in self._calls) - 1
            return f"Thought: The variable #{last} answers the question.\nFinal Answer: #{last}"
        call = self._calls[self._next]
        self._next += 1
        arguments = ", ".join(self._names.get(argument, argument) for argument in call.arguments)
        return f"Thought: The next step is {call.name}.\nAction: {call.name}({arguments})"
