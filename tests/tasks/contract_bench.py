"""One task on its fixture with its real parts, and how to play in it: what the contract tests share."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from contexts import task_context
from tongue import ScriptedModel

from harness import data
from harness.catalog import registry
from harness.episode import Oracle, Task, World
from harness.models.api import Call, LiveEpisodes
from harness.needs import window_notice
from harness.running.activity import Activity
from harness.running.rollout import TaskRun, run_episode
from harness.storage.records import Attempt
from harness.types import Context, Profile, Row, Sample, Score, TaskConfig, Verdict

Answer = Callable[[Call], str | Awaitable[str]]


@dataclass
class Bench:
    """One task on its fixture, its world open."""

    task: Task
    ctx: Context
    world: World
    samples: list[Sample]

    async def run_episode(
        self, sample: Sample, answer: Answer, oracle: Oracle | None = None, live: LiveEpisodes | None = None
    ) -> Attempt:
        policy = self.task.history(self.ctx)
        setup = TaskRun(
            self.task.spec,
            self.world,
            ScriptedModel(answer),  # type: ignore[arg-type]
            live or LiveEpisodes(),
            oracle=(lambda _: oracle) if oracle else None,
            history=policy,
            notice=window_notice(policy, self.ctx),
            profile=self.ctx.profile,
        )
        return await run_episode(setup, sample, 0, Activity())

    async def oracle(self, sample: Sample) -> Attempt:
        """Play with the oracle, which sees the observation the loop would leave for its server."""
        oracle, live = self.task.oracle(self.ctx, sample), LiveEpisodes()
        key = (self.task.spec.name, sample.id, 0)

        async def answer(call: Call) -> str:
            found = live.get(*key)
            assert found is not None
            return await oracle.reply(found.observation)

        return await self.run_episode(sample, answer, oracle, live)

    def value(self, attempt: Attempt) -> float:
        """The attempt's value; a judged one gets the same verdict on every question."""
        return self.score(attempt).value

    def score(self, attempt: Attempt, verdict: str = "Rating: [[10]]") -> Score:
        """The attempt's value with what was measured."""
        assert attempt.outcome != "infra_error", attempt.error
        if attempt.pending is not None:
            verdicts = [Verdict(item.key, 0, verdict) for item in attempt.pending.items]
            return self.task.resolve(self.ctx, attempt.pending, verdicts)
        assert attempt.value is not None
        return Score(attempt.value, attempt.metrics)

    def headline(self, attempts: Sequence[Attempt]) -> float:
        rows = [
            Row(a.sample, a.repeat, a.outcome, self.value(a), a.metrics, a.labels, a.cluster)
            for a in attempts
        ]
        number = self.task.aggregate(rows)[self.task.spec.metric]
        return number * 100 if self.task.spec.unit == "percent" else number


def missing_parts(task: Task, cfg: TaskConfig) -> list[str]:
    needed = [need for need in task.needs(cfg) if need.stage == "play"]
    return [f"{need.name} {why}: {need.fix}" for need in needed if (why := need.missing())]


async def open_bench(name: str, profile: Profile, work: Path, stack: AsyncExitStack) -> Bench:
    task = registry.load(name)
    found = data.resolve(name, "fixture")
    ctx = task_context(task, found.path, work, profile=profile, source="fixture")
    if lines := missing_parts(task, ctx):
        message = "; ".join(lines)
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    world = await stack.enter_async_context(task.world(ctx))
    return Bench(task, ctx, world, list(task.samples(ctx)))
