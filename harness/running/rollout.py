"""Plays one episode with one model: the loop that joins a benchmark and an endpoint."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

from harness import seeds
from harness.errors import ContextOverflow, InfraError
from harness.models import outside
from harness.models.api import Call
from harness.models.roles import RoleOptions
from harness.running.activity import Activity
from harness.running.conversation import Conversation
from harness.running.environment import Environment
from harness.running.results import as_sent, bounded, enter_score, facts
from harness.running.role_chats import EpisodeRoles
from harness.running.sampling import SYSTEM_LEFT_OUT
from harness.running.task_run import TaskRun
from harness.storage.private import OVERFLOW
from harness.storage.records import Attempt, CallRecord, Turn
from harness.types import CallKey, Chat, Observation, Oracle, Reply, Sample

_NOTHING = Observation()


async def run_episode(run: TaskRun, sample: Sample, repeat: int, activity: Activity) -> Attempt:
    """Play one attempt to its end; only cancellation escapes as an exception."""
    spec = run.spec
    attempt = Attempt(
        spec.name, spec.version, sample.id, repeat, labels=sample.labels, cluster=sample.cluster
    )
    rollout = _Rollout(run, sample, attempt, activity)
    began = time.monotonic()
    try:
        await rollout.play()
    except InfraError as error:
        attempt.outcome, attempt.value = "infra_error", None
        attempt.error = outside.message(f"{type(error).__name__}: {error}")
    except Exception:
        attempt.outcome, attempt.value = "infra_error", None
        attempt.error = outside.message(traceback.format_exc(limit=8))
    finally:
        run.live.drop(spec.name, sample.id, repeat)
        await rollout.environment.close()
        attempt.seconds = time.monotonic() - began
    return attempt


class _Rollout:
    """One attempt while it is played."""

    def __init__(self, run: TaskRun, sample: Sample, attempt: Attempt, activity: Activity) -> None:
        self.run, self.attempt, self.activity, self._sample = run, attempt, activity, sample
        self.oracle: Oracle | None = None
        # None of these parts refers back to this object: an episode is then freed, with its prompts, as soon
        # as it ends, and not when the garbage collector comes.
        self._prompt = partial(run.model.render, suite=run.spec.suite, task=run.spec.name)
        self.conversation = Conversation(run.history, self._prompt, run.notice, run.vocabulary)
        self.environment = Environment(run, sample, attempt, self._chats(), activity)

    async def play(self) -> None:
        """Play to the end and write the score into the attempt."""
        if self.run.oracle is not None:  # it may read files, and fail as an episode does
            self.oracle = self.run.oracle(self._sample)
            self._show_oracle(_NOTHING)  # an episode may ask a role in its reset
        stopped = await self._turns()
        enter_score(await self.environment.score(), self.attempt, stopped, self.run.spec)

    async def _turns(self) -> Literal["limit"] | None:
        """Take turns; returns `limit` when the loop, not the episode, ended it."""
        limits = self.run.spec.limits
        observation, reply = await self.environment.reset(), None
        for turn in range(limits.turns):
            if observation.done:
                return None
            self.activity.turn = turn
            if observation.fresh or reply is None:
                observation = self.run.sampling.begins(observation)
            self.conversation.observe(observation, reply)
            try:
                reply = await self._ask(turn, observation)
            except ContextOverflow as overflow:
                self.attempt.note = f"{OVERFLOW}{overflow}"
                return "limit"
            if reply.unfinished:
                self.attempt.note = "thought: the budget of tokens ran out before there was an answer"
                return "limit"
            observation = await self.environment.step(reply)
            self._log_info(observation)
            if self.environment.seconds > limits.episode_s:
                self.attempt.note = f"time: the environment took over {limits.episode_s:g} s"
                break
        return None if observation.done else "limit"

    async def _ask(self, turn: int, observation: Observation) -> Reply:
        run, spec, attempt = self.run, self.run.spec, self.attempt
        if observation.ask is None:
            raise InfraError(f"{spec.name}: an observation that is not done must carry an ask")
        self._show_oracle(observation)
        messages = () if observation.raw is not None else self.conversation.shown()
        prompt = observation.raw if observation.raw is not None else self._prompt(messages)
        call = Call(
            key=CallKey(spec.name, attempt.sample, attempt.repeat, turn),
            messages=messages,
            raw=observation.raw,
            prompt=prompt,
            ask=run.sampling.over(as_sent(observation.ask, run.decoding, run.profile)),
            seed=self._seed("call", turn),
            deadline_s=run.deadline_s,
            turns_left=self.activity.left(turn),
            suite=spec.suite,
            decoding=spec.released if run.decoding == "released" else {},
            extra=run.sampling.extra,
        )
        self.activity.enter("model")
        reply = bounded(await run.model.complete(call))
        if run.sampling.system is not None and observation.raw is not None:
            reply = replace(reply, notes=(*reply.notes, SYSTEM_LEFT_OUT))
        attempt.prompt_tokens += reply.prompt_tokens
        attempt.output_tokens += reply.output_tokens
        shown = self.conversation.turn(observation, call.ask)
        sent, told = prompt + call.ask.prefix, facts(reply)
        record = CallRecord(turn, sent, reply.text, told, turn=shown, thought=reply.thought)
        attempt.calls.append(record)
        return replace(reply, thought="") if reply.thought else reply

    def _seed(self, *what: str | int) -> int:
        attempt = self.attempt
        return seeds.derive(self.run.seed, attempt.task, attempt.sample, attempt.repeat, *what)

    def _chats(self) -> Mapping[str, Chat]:
        run = self.run
        if not run.roles:
            return {}
        options = RoleOptions(partial(seeds.derive, self._seed("roles")), run.spec.suite, run.deadline_s)
        return EpisodeRoles(self.attempt, run.roles, options).chats

    def _show_oracle(self, observation: Observation) -> None:
        """Leave the oracle what it is to answer, for the server that answers in its place."""
        if self.oracle is not None:
            attempt = self.attempt
            self.run.live.put(attempt.task, attempt.sample, attempt.repeat, self.oracle, observation)

    def _log_info(self, observation: Observation) -> None:
        """Keep the episode's own log with its call, which calls of roles may have followed."""
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
        last = next(index for index in reversed(range(len(calls))) if not calls[index].role)
        calls[last] = replace(calls[last], info=observation.info)
