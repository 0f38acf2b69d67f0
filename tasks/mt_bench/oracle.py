"""Answers with the references where there are any; how good that is only a judge can say."""

from __future__ import annotations

from harness.episode import BaseOracle
from harness.types import Observation
from tasks.mt_bench.rows import TURNS, Question


class MtBenchOracle(BaseOracle):
    """Gives each turn's reference answer, or a placeholder that names the question and the turn."""

    def __init__(self, question: Question) -> None:
        self._answers = question.references or tuple(
            f"Answer to turn {turn} of question {question.id}." for turn in range(1, TURNS + 1)
        )
        self._turn = 0

    async def reply(self, observation: Observation) -> str:
        """Answer the next turn."""
        del observation
        self._turn += 1
        return self._answers[min(self._turn, TURNS) - 1]
