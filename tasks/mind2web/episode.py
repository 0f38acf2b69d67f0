"""One step on a recorded page: candidates in batches of five, each in a conversation of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.types import Ask, Observation, Reply, Sample, Score
from tasks.mind2web import score
from tasks.mind2web.action import parse, wanted
from tasks.mind2web.pool import CandidatePool, PageChoice
from tasks.mind2web.prompts import Mind2WebPrompts, fitted, kept

MAX_NEW_TOKENS = 128

Render = Callable[[int, Sequence[str]], Awaitable[tuple[str, list[PageChoice]]]]
"""Shows the page of a step's number around candidates: its text, and the candidates in document order."""


@dataclass(frozen=True, slots=True)
class Mind2WebRules:
    """What the options decide.

    Attributes:
        keep_question: exemplars give way to a long question; upstream's window may drop the question itself.
        ask_last: ask about a candidate that is left over alone.
        casefold: also report values without regard to case.
    """

    ask: Ask
    keep_question: bool = False
    ask_last: bool = False
    casefold: bool = False


class Mind2WebEpisode:
    """Plays one step."""

    def __init__(
        self, sample: Sample, prompts: Mind2WebPrompts, render: Render, rules: Mind2WebRules
    ) -> None:
        self._step, self._prompts, self._render, self._rules = sample.data, prompts, render, rules
        self._pool = CandidatePool(sample.data["pool"], ask_last=rules.ask_last)
        self._choices: list[PageChoice] = []
        self._letters: list[str] = []
        self._counts: Counter[str] = Counter()

    async def reset(self) -> Observation:
        return await self._next({})

    async def step(self, reply: Reply) -> Observation:
        said = parse(reply.text)
        self._letters.append(said.letter)
        self._counts["default_answer"] += not said.answered
        chosen = ""
        if said.place is not None and said.place < len(self._choices):
            chosen = self._choices[said.place].id
            self._pool.choose(chosen, said.text)
        elif said.place is not None:
            self._counts["out_of_range"] += 1
        return await self._next({"letter": said.letter, "element": chosen, "action": said.text})

    async def _next(self, info: dict[str, Any]) -> Observation:
        batch = self._pool.batch()
        if batch is None:
            return Observation(done=True, info=info)
        page, self._choices = await self._render(self._step["n"], batch)
        words = [choice.text for choice in self._choices]
        question = self._prompts.question(self._step["task"], self._step["previous"], page, words)
        self._counts["calls"] += 1
        whole = (*self._prompts.exemplars, question)
        messages = fitted(self._prompts.exemplars, question) if self._rules.keep_question else whole
        shown = len(messages) if self._rules.keep_question else kept(messages)
        self._counts["prompt_cut"] += shown < len(whole)
        self._counts["prompt_overflow"] += shown == 1 and not self._rules.keep_question
        info = {**info, "choices": [choice.id for choice in self._choices]}
        return Observation(messages, self._rules.ask, fresh=True, info=info)

    async def score(self) -> Score:
        targets, prediction = self._step["targets"], self._pool.prediction
        action = wanted(self._step["op"], self._step["value"]) if targets else ""
        values = score.values(prediction, targets, action)
        counted = ("calls", "default_answer", "out_of_range", "prompt_cut", "prompt_overflow")
        metrics = values | {name: float(self._counts[name]) for name in counted}
        metrics["format_fail"] = float(self._counts["default_answer"] > 0)
        metrics["unasked"] = float(self._pool.unasked)
        metrics |= score.recalls(self._step["best"])
        if self._rules.casefold:
            metrics |= score.casefolded(prediction, targets, action)
        return Score(
            values["step_sr"],
            metrics,
            self._note(),
            answer=" ".join(filter(None, prediction)),
            target=" ".join([*targets, action]),
        )

    def _note(self) -> str:
        """Letters and node ids, which are no text of a page and so may stay in the store."""
        if not self._step["targets"]:
            return "no right element among the candidates"
        said = f"answers {' '.join(self._letters)}; " if self._letters else ""
        return f"{said}element {self._pool.prediction[0] or 'none'} of {' '.join(self._step['targets'])}"

    async def close(self) -> None:
        """Nothing to release: the pages belong to the world."""
