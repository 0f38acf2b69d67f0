"""One episode's environment under its deadlines: built, stepped, scored, and built anew after a crash."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from harness import seeds
from harness.episode import Episode
from harness.errors import EnvironmentFault, InfraError
from harness.running.activity import Activity
from harness.running.task_run import TaskRun
from harness.running.time_limit import within
from harness.storage.records import Attempt
from harness.types import Chat, Message, Observation, Pending, Reply, Sample, Score

log = logging.getLogger(__name__)
T = TypeVar("T")

REBUILDS = 2
"""How often a crashed environment is built anew within one attempt."""

CLOSE_S = 30.0
"""An episode that takes longer to close is abandoned; its world ends the processes later."""


class Environment:
    """The environment of one attempt, for all its rebuilds.

    Every method may raise EnvironmentFault, when the environment is broken and cannot be rebuilt, and
    InfraError, when the rebuilt one differs from the first.

    Args:
        run: the task's part of the run.
        attempt: its `rebuilds` are counted here.
        chats: the bound roles.
        activity: told what the environment is doing.

    Attributes:
        seconds: spent in the environment so far; the episode's clock runs only there.
    """

    def __init__(
        self, run: TaskRun, sample: Sample, attempt: Attempt, chats: Mapping[str, Chat], activity: Activity
    ) -> None:
        self._run, self._sample, self._attempt = run, sample, attempt
        self._chats, self._activity = chats, activity
        self._limits = run.spec.limits
        self._episode: Episode | None = None
        self._replies: list[Reply] = []
        self._seen: list[tuple[Message, ...]] = []
        self.seconds = 0.0

    async def reset(self) -> Observation:
        """Build the episode and give its first observation."""
        try:
            return await self._built()
        except EnvironmentFault as fault:
            return await self._rebuilt(fault)

    async def step(self, reply: Reply) -> Observation:
        """Hand a reply to the episode."""
        self._replies.append(reply)
        self._activity.enter("step")
        try:
            observation = await self._bounded(self._open().step(reply), self._limits.step_s)
        except EnvironmentFault as fault:
            return await self._rebuilt(fault)
        return self._recognised(len(self._replies), observation)

    async def score(self) -> Score | Pending:
        """Score the episode."""
        self._activity.enter("score")
        try:
            return await self._bounded(self._open().score(), self._limits.step_s)
        except EnvironmentFault as fault:
            await self._rebuilt(fault)
            return await self._bounded(self._open().score(), self._limits.step_s)

    async def close(self) -> None:
        """Close the episode if there is one; a failure to close is logged, the result stands."""
        episode, self._episode = self._episode, None
        if episode is None:
            return
        try:
            await within(CLOSE_S, episode.close())
        except Exception as error:
            log.warning("%s %s did not close: %r", self._run.spec.name, self._sample.id, error)

    async def _bounded(self, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        """Await the environment under its deadline, and count the time."""
        clock = asyncio.get_running_loop()
        began = clock.time()
        try:
            return await within(limit_s, work)
        except TimeoutError as error:
            raise EnvironmentFault(f"{self._activity.name} took over {limit_s:g} s") from error
        finally:
            self.seconds += clock.time() - began

    def _open(self) -> Episode:
        if self._episode is None:
            raise EnvironmentFault("the episode was never built")
        return self._episode

    async def _built(self) -> Observation:
        await self.close()
        self._activity.enter("reset")
        run, attempt, limit_s = self._run, self._attempt, self._limits.reset_s
        seed = seeds.derive(run.seed, run.spec.name, attempt.sample, attempt.repeat)
        building = run.world.episode(self._sample, self._chats, seed)
        self._episode = await self._bounded(building, limit_s)
        return self._recognised(0, await self._bounded(self._episode.reset(), limit_s))

    async def _rebuilt(self, fault: EnvironmentFault) -> Observation:
        """Build the episode anew and replay every reply so far, where playing twice does no harm."""
        if not self._run.world.replayable:
            raise fault
        while self._attempt.rebuilds < REBUILDS:
            self._attempt.rebuilds += 1
            log.info("%s %s: rebuilding after %s", self._run.spec.name, self._sample.id, fault)
            try:
                return await self._replayed()
            except EnvironmentFault as again:
                fault = again
        raise fault

    async def _replayed(self) -> Observation:
        observation = await self._built()
        for n, reply in enumerate(self._replies, start=1):
            self._activity.enter("replay")
            step = self._bounded(self._open().step(reply), self._limits.step_s)
            observation = self._recognised(n, await step)
        return observation

    def _recognised(self, n: int, observation: Observation) -> Observation:
        """A rebuilt episode must show what the first one showed, or its score would mean nothing."""
        if n < len(self._seen) and self._text(self._seen[n]) != self._text(observation.messages):
            raise InfraError(f"the rebuilt environment shows something else at turn {n}")
        if n == len(self._seen):
            self._seen.append(observation.messages)
        return observation

    def _text(self, messages: Sequence[Message]) -> str:
        """What is compared of an observation: its texts without what differs from run to run."""
        text = "\x1e".join(message.content for message in messages)
        for pattern in self._run.spec.mask:
            text = re.sub(pattern, "", text)
        return text
