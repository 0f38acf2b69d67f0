"""Two turns of one conversation; the score waits for a judge."""

from __future__ import annotations

from collections.abc import Mapping

from harness.types import Ask, JudgeAsk, Message, Observation, Pending, Profile, Reply, Score
from tasks.mt_bench import score as scoring
from tasks.mt_bench.prompts import judge_ask, template_name
from tasks.mt_bench.rows import TEMPERATURES, TURNS, JudgePrompt, Question


class MtBenchEpisode:
    """Asks both turns and hands the answers to the judge."""

    def __init__(
        self,
        question: Question,
        system: str,
        prompts: Mapping[str, JudgePrompt],
        max_new_tokens: int,
        profile: Profile = "paper",
    ) -> None:
        self._question, self._prompts = question, prompts
        self._system = Message("system", system, "task")
        self._ask = Ask(max_new_tokens, temperature=TEMPERATURES[question.category] or None)
        self._answers: list[str] = []
        self._profile: Profile = profile

    async def reset(self) -> Observation:
        return Observation((self._system, Message("user", self._question.turns[0], "task")), self._ask)

    async def step(self, reply: Reply) -> Observation:
        # Upstream strips an answer before it enters the second turn's prompt and before it is judged.
        answer = reply.text.strip()
        self._answers.append(answer)
        if len(self._answers) == TURNS:
            return Observation(done=True, said=answer)
        return Observation((Message("user", self._question.turns[1], "task"),), self._ask, said=answer)

    async def score(self) -> Score | Pending:
        if not self._answers:
            return Score(0.0, scoring.counts(judged=0, unparsed=0, withhold=True), "not answered")
        items = [self._judged(turn) for turn in range(1, len(self._answers) + 1)]
        return Pending(tuple(items), "" if len(items) == TURNS else "the second turn was not answered")

    def _judged(self, turn: int) -> JudgeAsk:
        prompt = self._prompts[template_name(self._question, turn)]
        return judge_ask(self._question, self._answers[:turn], turn, prompt, self._profile)

    async def close(self) -> None:
        """Nothing to release."""
