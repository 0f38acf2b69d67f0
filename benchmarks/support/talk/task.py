"""Two hundred conversations of twenty turns, of which every reply is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.authoring import SingleTurn
from harness.episode import Episode
from harness.types import (
    Ask,
    Limits,
    Message,
    Observation,
    Reply,
    Sample,
    Score,
    TaskConfig,
    TaskSpec,
)

TALKS, TURNS = 200, 20
ASK = Ask(max_new_tokens=64)
SAID = "You see a table, a lamp and a door. " * 6


class Talk(SingleTurn):
    """Conversations whose environment answers at once."""

    spec = TaskSpec(
        name="talk",
        version=1,
        suite="general",
        metric="accuracy",
        limits=Limits(turns=TURNS),
        expected_turns=TURNS,
        ceiling={("paper", "fixture"): 100.0, ("fixed", "fixture"): 100.0},
    )

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        return [Sample(f"{cfg.split}/{n}") for n in range(TALKS)]

    def question(self, sample: Sample, shared: Any) -> Observation:
        return Observation((Message("user", f"Room {sample.id}. {SAID}", "task"),), ASK)

    async def value(self, sample: Sample, reply: Reply, shared: Any) -> Score:
        return Score(1.0)

    def gold(self, sample: Sample, asked: Observation) -> str:
        return "look"

    def episode(self, sample: Sample, shared: Any) -> Episode:
        return TalkEpisode(self.question(sample, shared))


class TalkEpisode:
    """Says the same at every turn."""

    def __init__(self, first: Observation) -> None:
        self._first, self._turns = first, 0

    async def reset(self) -> Observation:
        return self._first

    async def step(self, reply: Reply) -> Observation:
        self._turns += 1
        if self._turns == TURNS:
            return Observation(done=True)
        return Observation((Message("user", SAID),), ASK)

    async def score(self) -> Score:
        return Score(1.0)

    async def close(self) -> None:
        """Nothing to release."""


TASK = Talk()
