"""Plays one task on its fixture in this process, without a run, a store or a server: for contract tests."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from zlib import crc32

from harness import data
from harness.catalog import registry
from harness.episode import BaseTask, Episode, Oracle, Task, World
from harness.errors import MissingPart
from harness.history import policy, vocabulary, window_notice
from harness.models.api import Call, LiveEpisodes, Model
from harness.models.roles import EMBEDDER
from harness.running import selection
from harness.running.activity import Activity
from harness.running.rollout import run_episode
from harness.running.task_run import TaskRun
from harness.running.verdicts import cosines
from harness.storage.records import Attempt
from harness.types import (
    Ask,
    Context,
    JudgeAsk,
    Message,
    Profile,
    Reply,
    Row,
    Sample,
    Score,
    Source,
    TaskConfig,
    Verdict,
)

Answer = Callable[[Call], str | Awaitable[str]]


class ScriptedModel:
    """A model in this process whose replies are a function of the call, which may have to be awaited."""

    name = "scripted"

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.calls: list[Call] = []

    def render(self, messages: Sequence[Message], suite: str = "", task: str = "") -> str:
        """The roles and texts, one a line."""
        del suite, task
        return "\n".join(f"{message.role}: {message.content}" for message in messages)

    async def complete(self, call: Call) -> Reply:
        """Answer a call; a text that is none of the choices counts as the first."""
        self.calls.append(call)
        said = self._answer(call)
        text = await said if inspect.isawaitable(said) else said
        choices = call.ask.choices
        choice = (choices.index(text) if text in choices else 0) if choices else None
        return Reply(text if choice is None else choices[choice], choice=choice)


@dataclass(frozen=True, slots=True)
class OracleChat:
    """An auxiliary model that answers as the oracle does."""

    role: str
    oracle: Oracle

    async def ask(self, key: str, messages: tuple[Message, ...] | str, ask: Ask) -> Reply:
        """Answer a prompt; a conversation counts as its texts."""
        del key, ask
        text = messages if isinstance(messages, str) else "\n".join(message.content for message in messages)
        return Reply(await self.oracle.role_reply(self.role, text))

    async def embed(self, key: str, texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        """Refuse: an oracle gives no vectors."""
        raise NotImplementedError(f"the oracle has no vectors for the role {self.role}")


@dataclass
class Bench:
    """One task on its fixture, its world open."""

    task: Task
    ctx: Context
    world: World
    samples: list[Sample]

    def context(self, profile: Profile, source: Source) -> Context:
        """The same task under a profile's own options."""
        options = selection.options(self.task.spec.name, self.task.Options, profile, {})
        return Context(self.ctx.data, options, profile, source, self.ctx.split, work=self.ctx.work)

    def check_history(self, cfg: TaskConfig) -> None:
        """Look the history policy of a configuration up.

        Raises:
            UsageError: the task names none that there is.
        """
        policy(self.task.history(cfg))

    @property
    def judged(self) -> bool:
        """Whether the task turns a judge's verdicts into scores."""
        return type(self.task).resolve is not BaseTask.resolve

    async def run_episode(
        self, sample: Sample, answer: Answer, oracle: Oracle | None = None, live: LiveEpisodes | None = None
    ) -> Attempt:
        """Play a sample with a scripted model; `oracle` answers for the roles."""
        return await self.play(cast(Model, ScriptedModel(answer)), sample, oracle, live)

    async def play(
        self, model: Model, sample: Sample, oracle: Oracle | None = None, live: LiveEpisodes | None = None
    ) -> Attempt:
        """Play a sample with any model; `oracle` answers for the roles."""
        history = self.task.history(self.ctx)
        run = TaskRun(
            self.task.spec,
            self.world,
            model,
            live or LiveEpisodes(),
            oracle=(lambda _: oracle) if oracle else None,
            roles={
                name: _role_model(name, oracle or self.task.oracle(self.ctx, sample))
                for name in self.ctx.roles
            },
            history=history,
            notice=window_notice(history, self.ctx),
            vocabulary=vocabulary(history, self.ctx),
            profile=self.ctx.profile,
        )
        return await run_episode(run, sample, 0, Activity())

    async def build(self, sample: Sample) -> Episode:
        """An episode outside any run, always of the same seed; the oracle answers for bound roles."""
        oracle = self.task.oracle(self.ctx, sample)
        return await self.world.episode(
            sample, {name: OracleChat(name, oracle) for name in self.ctx.roles}, 5
        )

    async def oracle(self, sample: Sample) -> Attempt:
        """Play with the oracle, which sees the observation the loop would leave for its server."""
        oracle, live = self.task.oracle(self.ctx, sample), LiveEpisodes()
        key = (self.task.spec.name, sample.id, 0)

        async def answer(call: Call) -> str:
            del call
            found = live.get(*key)
            if found is None:
                raise LookupError(f"{key} is not live while its model is asked")
            return await oracle.reply(found.observation)

        return await self.run_episode(sample, answer, oracle, live)

    def value(self, attempt: Attempt) -> float:
        """The attempt's value; a judged one gets the same verdict on every question."""
        return self.score(attempt).value

    def score(self, attempt: Attempt, verdict: str = "Rating: [[10]]") -> Score:
        """The attempt's value with what was measured; `verdict` is what a judge says.

        Raises:
            ValueError: the attempt failed.
        """
        if attempt.pending is not None:
            embedder = self.task.spec.paper_judge
            verdicts = [
                Verdict(item.key, 0, _likeness(embedder, item) if item.role == EMBEDDER else verdict)
                for item in attempt.pending.items
            ]
            return self.task.resolve(self.ctx, attempt.pending, verdicts)
        if attempt.outcome == "infra_error" or attempt.value is None:
            raise ValueError(f"{attempt.sample} failed: {attempt.error}")
        return Score(attempt.value, attempt.metrics)

    def headline(self, attempts: Sequence[Attempt]) -> float:
        """The task's own number, in the unit of its ceiling."""
        rows = [
            Row(a.sample, a.repeat, a.outcome, self.value(a), a.metrics, a.labels, a.cluster)
            for a in attempts
        ]
        number = self.task.aggregate(rows)[self.task.spec.metric]
        return number * 100 if self.task.spec.unit == "percent" else number


def _likeness(name: str, item: JudgeAsk) -> str:
    """A verdict in the published embedder's name, by which texts are alike that share runs of letters."""
    vectors = [[0.0] * 768 for _ in item.messages]
    for vector, message in zip(vectors, item.messages, strict=True):
        text = f" {message.content} "
        for at in range(len(text) - 2):
            vector[crc32(text[at : at + 3].encode("utf-8", "replace")) % 768] += 1.0
    return cosines(name, vectors)


def _role_model(name: str, oracle: Oracle) -> Model:
    return cast(Model, ScriptedModel(lambda call: oracle.role_reply(name, call.prompt)))


async def open_bench(name: str, profile: Profile, work: Path, stack: AsyncExitStack) -> Bench:
    """Open a task's world on its fixture; a question set has its own file in place of one.

    Args:
        name: of the task, or the path of a question set.
        profile: whose options hold.
        work: a scratch folder.
        stack: closes the world.

    Raises:
        MissingPart: what the task needs is not here, with the fix.
    """
    name = registry.named(name)
    task: Any = registry.load(name)
    found = data.resolve(name, data.FIXTURE)
    options = selection.options(name, task.Options, profile, {})
    ctx = Context(found.path, options, profile, found.source, task.spec.splits[0], work=work)
    named_roles = [need.name for need in task.needs(ctx) if need.stage == "play" and need.missing()]
    roles = (name.removeprefix("role ") for name in named_roles if name.startswith("role "))
    ctx = replace(ctx, roles=frozenset(roles))  # the oracle plays them
    lacking = [*found.problems]
    for need in task.needs(ctx):
        if need.stage == "play" and (why := need.missing()):
            lacking.append(f"{need.name} {why}: {need.fix}")
    if lacking:
        raise MissingPart("; ".join(lacking))
    world = await stack.enter_async_context(task.world(ctx))
    return Bench(task, ctx, world, list(task.samples(ctx)))
