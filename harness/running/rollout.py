"""Plays one episode with one model: the loop that joins a benchmark and an endpoint."""

from __future__ import annotations

import logging
import re
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from harness import seeds
from harness.data import Notice
from harness.episode import Episode, Oracle, World
from harness.errors import ContextOverflow, EnvironmentFault, InfraError
from harness.models import outside
from harness.models.api import Call, LiveEpisodes, Model
from harness.running.activity import Activity
from harness.running.conversation import Conversation
from harness.running.results import Decoding, as_sent, bounded, facts, take
from harness.running.role_chats import EpisodeRoles
from harness.running.time_limit import within
from harness.storage.records import Attempt, CallRecord, Turn
from harness.types import (
    CallKey,
    Message,
    Observation,
    Profile,
    Reply,
    Sample,
    TaskSpec,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

REBUILDS = 2
"""How often a crashed environment is built anew within one attempt."""

CLOSE_S = 30.0
"""An episode that takes longer to close is abandoned; its world still owns the processes."""

_NOTHING = Observation()


@dataclass(frozen=True, slots=True)
class TaskRun:
    """What all episodes of one task share in a run."""

    spec: TaskSpec
    world: World
    model: Model
    live: LiveEpisodes
    oracle: Callable[[Sample], Oracle] | None = None
    roles: Mapping[str, Model] = field(default_factory=dict[str, Model])
    history: str = "none"
    notice: Notice | None = None
    profile: Profile = "paper"
    decoding: Decoding = "protocol"
    seed: int = 0
    deadline_s: float = 900.0


async def run_episode(setup: TaskRun, sample: Sample, repeat: int, activity: Activity) -> Attempt:
    """Play one attempt to its end; only cancellation escapes as an exception."""
    spec = setup.spec
    attempt = Attempt(
        spec.name, spec.version, sample.id, repeat, labels=sample.labels, cluster=sample.cluster
    )
    player = _Rollout(setup, sample, repeat, attempt, activity)
    began = time.monotonic()
    try:
        await player.run()
    except InfraError as error:
        attempt.outcome, attempt.value = "infra_error", None
        attempt.error = outside.message(f"{type(error).__name__}: {error}")
    except Exception:
        attempt.outcome, attempt.value = "infra_error", None
        attempt.error = outside.message(traceback.format_exc(limit=8))
    finally:
        setup.live.drop(spec.name, sample.id, repeat)
        await player.close()
        attempt.seconds = time.monotonic() - began
    return attempt


class _Rollout:
    def __init__(
        self, setup: TaskRun, sample: Sample, repeat: int, attempt: Attempt, activity: Activity
    ) -> None:
        self.setup, self.sample, self.repeat = setup, sample, repeat
        self.attempt, self.activity = attempt, activity
        self.limits = setup.spec.limits
        self.episode: Episode | None = None
        self.replies: list[Reply] = []
        self.seen: list[str] = []
        self.environment_s = 0.0
        self.oracle = setup.oracle(sample) if setup.oracle else None
        self._show_oracle(_NOTHING)  # an episode may ask a role in its reset
        self.talk = Conversation(setup.history, self._prompt, setup.notice)
        seed = seeds.derive(setup.seed, setup.spec.name, sample.id, repeat, "roles") if setup.roles else 0
        self.roles = EpisodeRoles(attempt, setup.roles, seed, setup.spec.suite, setup.deadline_s)

    async def run(self) -> None:
        stopped = await self._loop()
        self.activity.enter("score")
        try:
            score = await self._environment(self._open().score(), self.limits.step_s)
        except EnvironmentFault as fault:
            await self._rebuilt(fault)
            score = await self._environment(self._open().score(), self.limits.step_s)
        take(score, self.attempt, stopped, self.setup.spec)

    async def _loop(self) -> Literal["limit"] | None:
        """Take turns; returns `limit` when the loop, not the episode, ended it."""
        observation, reply = await self._begin(), None
        for turn in range(self.limits.turns):
            if observation.done:
                return None
            self.activity.turn = turn
            self.talk.observe(observation, reply)
            try:
                reply = await self._ask(turn, observation)
            except ContextOverflow as overflow:
                self.attempt.note = f"context: {overflow}"
                return "limit"
            observation = await self._step(reply)
            self._log_info(observation)
            if self.environment_s > self.limits.episode_s:
                self.attempt.note = f"time: the environment took over {self.limits.episode_s:g} s"
                return None if observation.done else "limit"
        return None if observation.done else "limit"

    # -- the model's side

    def _prompt(self, messages: Sequence[Message]) -> str:
        spec = self.setup.spec
        return self.setup.model.render(messages, spec.suite, spec.name)

    def _show_oracle(self, observation: Observation) -> None:
        """Leave the oracle what it is to answer, for the server that speaks for it."""
        if self.oracle is not None:
            self.setup.live.put(self.setup.spec.name, self.sample.id, self.repeat, self.oracle, observation)

    async def _ask(self, turn: int, observation: Observation) -> Reply:
        setup, spec = self.setup, self.setup.spec
        if observation.ask is None:
            raise InfraError(f"{spec.name}: an observation that is not done must carry an ask")
        self._show_oracle(observation)
        messages = () if observation.raw is not None else self.talk.shown()
        prompt = observation.raw if observation.raw is not None else self._prompt(messages)
        call = Call(
            key=CallKey(spec.name, self.sample.id, self.repeat, turn),
            messages=messages,
            raw=observation.raw,
            prompt=prompt,
            ask=as_sent(observation.ask, setup.decoding, setup.profile),
            seed=seeds.derive(setup.seed, spec.name, self.sample.id, self.repeat, "call", turn),
            deadline_s=setup.deadline_s,
            suite=spec.suite,
            decoding=spec.released if setup.decoding == "released" else {},
        )
        self.activity.enter("model")
        reply = bounded(await setup.model.complete(call))
        self.attempt.prompt_tokens += reply.prompt_tokens
        self.attempt.output_tokens += reply.output_tokens
        shown = self.talk.turn(observation, call.ask)
        record = CallRecord(turn, prompt + call.ask.prefix, reply.text, facts(reply), turn=shown)
        self.attempt.calls.append(record)
        return reply

    def _log_info(self, observation: Observation) -> None:
        """Keep the episode's own log beside the call it belongs to; roles may have called since."""
        self.attempt.last = Turn(
            observation.messages,
            said=observation.said,
            fresh=observation.fresh,
            raw=observation.raw,
            info=observation.info,
        )
        if not observation.info:
            return
        calls = self.attempt.calls
        last = max(index for index, call in enumerate(calls) if not call.role)
        calls[last] = replace(calls[last], info=observation.info)

    # -- the environment's side

    async def _environment(self, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        """Await the environment under its deadline; the clock of the episode runs only here."""
        began = time.monotonic()
        try:
            return await within(limit_s, work)
        except TimeoutError as error:
            raise EnvironmentFault(f"{self.activity.name} took over {limit_s:g} s") from error
        finally:
            self.environment_s += time.monotonic() - began

    def _open(self) -> Episode:
        if self.episode is None:
            raise EnvironmentFault("the episode was never built")
        return self.episode

    async def _reset(self) -> Observation:
        await self.close()
        self.activity.enter("reset")
        seed = seeds.derive(self.setup.seed, self.setup.spec.name, self.sample.id, self.repeat)
        building = self.setup.world.episode(self.sample, self.roles.chats, seed)
        self.episode = await self._environment(building, self.limits.reset_s)
        return self._recognise(0, await self._environment(self.episode.reset(), self.limits.reset_s))

    async def _begin(self) -> Observation:
        try:
            return await self._reset()
        except EnvironmentFault as fault:
            return await self._rebuilt(fault)

    async def _step(self, reply: Reply) -> Observation:
        self.replies.append(reply)
        self.activity.enter("step")
        try:
            observation = await self._environment(self._open().step(reply), self.limits.step_s)
        except EnvironmentFault as fault:
            return await self._rebuilt(fault)
        return self._recognise(len(self.replies), observation)

    async def _rebuilt(self, fault: EnvironmentFault) -> Observation:
        """Build the episode anew and replay every reply so far, where playing twice does no harm."""
        if not self.setup.world.replayable:
            raise fault
        while self.attempt.rebuilds < REBUILDS:
            self.attempt.rebuilds += 1
            log.info("%s %s: rebuilding after %s", self.setup.spec.name, self.sample.id, fault)
            try:
                return await self._replayed()
            except EnvironmentFault as again:
                fault = again
        raise fault

    async def _replayed(self) -> Observation:
        observation = await self._reset()
        for n, reply in enumerate(self.replies, start=1):
            self.activity.enter("replay")
            step = self._environment(self._open().step(reply), self.limits.step_s)
            observation = self._recognise(n, await step)
        return observation

    def _recognise(self, n: int, observation: Observation) -> Observation:
        """A rebuilt episode must show what the first one showed, or its score would mean nothing."""
        text = "\x1e".join(message.content for message in observation.messages)
        for pattern in self.setup.spec.mask:
            text = re.sub(pattern, "", text)
        if n < len(self.seen) and self.seen[n] != text:
            raise InfraError(f"the rebuilt environment shows something else at turn {n}")
        if n == len(self.seen):
            self.seen.append(text)
        return observation

    async def close(self) -> None:
        """Close the episode if there is one; a failure to close is logged, the result stands."""
        episode, self.episode = self.episode, None
        if episode is None:
            return
        try:
            await within(CLOSE_S, episode.close())
        except Exception as error:
            log.warning("%s %s did not close: %r", self.setup.spec.name, self.sample.id, error)
