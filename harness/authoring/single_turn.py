"""A benchmark of one question and one reply: its author writes what is asked and what counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from harness.authoring.world import plain_world
from harness.episode import BaseOracle, BaseTask, Episode, Oracle, World
from harness.types import Context, Observation, Reply, Sample, Score


class SingleTurn(BaseTask, ABC):
    """A task without an environment; gives the world, the episode and the oracle.

    A subclass has the `spec` and `samples` of every task, and `question`, `value` and `gold`. What all
    questions have in common (exemplars, texts, options) is read once by `shared`, of whatever type, and
    handed to the others.
    """

    notes: tuple[str, ...] = ()
    """Remarks that a reader needs to judge the score."""

    comparable: str = ""
    """Why scores are not comparable with the published one; empty when they are."""

    def shared(self, ctx: Context) -> Any:
        """Read what all questions of a run have in common; the context itself unless overridden."""
        return ctx

    @abstractmethod
    def question(self, sample: Sample, shared: Any) -> Observation:
        """What the model is shown, with its `Ask`."""

    @abstractmethod
    async def value(self, sample: Sample, reply: Reply, shared: Any) -> Score:
        """Value a reply. No text may make this raise."""

    @abstractmethod
    def gold(self, sample: Sample, asked: Observation) -> str:
        """The right reply, for the oracle; where `asked.ask` has choices, one of them."""

    async def unanswered(self, sample: Sample, shared: Any) -> Score:
        """Value an episode that ended before any reply; as an empty reply unless overridden."""
        return await self.value(sample, Reply(""), shared)

    def info(self, score: Score) -> Mapping[str, Any]:
        """What the transcript keeps of how a reply was valued; nothing unless overridden."""
        del score
        return {}

    def fingerprint(self, shared: Any) -> Mapping[str, str]:
        """Hashes of what is shared, for the manifest; none unless overridden."""
        del shared
        return {}

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        """Read what is shared; there is nothing to open. A task with parts to open opens them here."""
        shared = self.shared(ctx)
        told = self.fingerprint(shared), self.notes, self.comparable
        return plain_world(lambda sample: self.episode(sample, shared), *told)

    def episode(self, sample: Sample, shared: Any) -> Episode:
        """One attempt at a sample."""
        return _SingleTurnEpisode(self, sample, shared)

    def oracle(self, ctx: Context, sample: Sample) -> Oracle:
        """An oracle that replies with `gold`."""
        return _GoldOracle(self, sample)


class _SingleTurnEpisode:
    """Asks one question and values the reply as soon as it is there."""

    def __init__(self, task: SingleTurn, sample: Sample, shared: Any) -> None:
        self._task, self._sample, self._shared = task, sample, shared
        self._score: Score | None = None

    async def reset(self) -> Observation:
        return self._task.question(self._sample, self._shared)

    async def step(self, reply: Reply) -> Observation:
        self._score = await self._task.value(self._sample, reply, self._shared)
        return Observation(done=True, info=self._task.info(self._score))

    async def score(self) -> Score:
        return self._score or await self._task.unanswered(self._sample, self._shared)

    async def close(self) -> None:
        """Nothing to release."""


class _GoldOracle(BaseOracle):
    """Replies with the task's own answer."""

    def __init__(self, task: SingleTurn, sample: Sample) -> None:
        self._task, self._sample = task, sample

    async def reply(self, observation: Observation) -> str:
        return self._task.gold(self._sample, observation)
