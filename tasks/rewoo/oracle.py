"""Answers a question with the gold answer: a plan of one LLM call, then the answer itself."""

from __future__ import annotations

from harness.episode import BaseOracle
from harness.types import Observation, Sample
from tasks.rewoo.score import choices


class RewooOracle(BaseOracle):
    """Replies with a plan that calls a real tool, so that all steps between the two replies run."""

    def __init__(self, sample: Sample) -> None:
        self._question = " ".join(str(sample.data["question"]).split())
        gold = str(sample.data["answer"])
        self._answer = choices(gold)[0] if sample.data["dataset"] == "physics_question" else gold

    async def reply(self, observation: Observation) -> str:
        if observation.info.get("stage") == "plan":
            return f"Plan: Recall the answer.\n#E1 = LLM[{self._question}]"
        return self._answer
