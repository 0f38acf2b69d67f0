"""Answers with the dataset's own solution."""

from __future__ import annotations

from collections.abc import Mapping

from harness.episode import BaseOracle
from harness.types import Observation


class HumanEvalOracle(BaseOracle):
    """Plays one problem."""

    def __init__(self, problem: Mapping[str, str]) -> None:
        self._problem = problem

    async def reply(self, observation: Observation) -> str:
        """The canonical body; in chat mode the whole function, fenced."""
        solution = self._problem["canonical_solution"]
        if observation.raw is not None:
            return solution
        return f"```python\n{self._problem['prompt']}{solution}\n```"
