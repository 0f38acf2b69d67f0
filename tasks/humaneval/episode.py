"""One problem: a prompt, a reply, a program run."""

from __future__ import annotations

from collections.abc import Mapping

from harness.types import Ask, Message, Observation, Reply, Score
from tasks.humaneval import score as scoring
from tasks.humaneval.world import HumanEvalWorld, Verdict

MAX_NEW_TOKENS = 512
INSTRUCTION = (
    "Complete the following Python function. Answer with the whole function in one fenced code block.\n\n"
    "```python\n{prompt}```"
)
"""Our own wording: the paper does not publish its HumanEval protocol."""


class HumanEvalEpisode:
    """Asks once and runs what comes back."""

    def __init__(
        self, problem: Mapping[str, str], world: HumanEvalWorld, *, mode: str, pad_indent: bool
    ) -> None:
        self._problem = dict(problem)
        self._world = world
        self._mode = mode
        self._pad_indent = pad_indent
        self._verdict: Verdict | None = None

    async def reset(self) -> Observation:
        prompt = self._problem["prompt"]
        if self._mode == "chat":
            text = INSTRUCTION.format(prompt=prompt)
            return Observation((Message("user", text, "task"),), Ask(MAX_NEW_TOKENS))
        return Observation(raw=prompt, ask=Ask(MAX_NEW_TOKENS, stop=scoring.STOPS))

    async def step(self, reply: Reply) -> Observation:
        if self._mode == "chat":
            program = scoring.chat_program(self._problem, reply.text)
        else:
            program = scoring.completion_program(self._problem, reply.text, pad_indent=self._pad_indent)
        self._verdict = await self._world.judge(program)
        return Observation(done=True, info={"reason": self._verdict.reason})

    async def score(self) -> Score:
        if self._verdict is None:
            return Score(0.0, note="no reply")
        return Score(float(self._verdict.passed), note=self._verdict.reason)

    async def close(self) -> None:
        """Nothing to release: every run has a sandbox of its own."""
