"""Plays an episode of a task's fixture with a model that fails but talks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from contexts import samples_of, task_context

from harness.catalog import registry
from harness.data import FIXTURE, resolve
from harness.history import window_notice
from harness.models.api import Call, LiveEpisodes
from harness.running.activity import Activity
from harness.running.bench import ScriptedModel
from harness.running.rollout import run_episode
from harness.running.sampling import Sampling
from harness.running.task_run import TaskRun
from harness.storage.records import Attempt
from harness.types import Message

CHATTER = "I look around me and think about what to do next in this place. " * 12


def render(messages: Sequence[Message]) -> str:
    """Every message with its role, not stripped: nothing that is lost could hide."""
    return "\n".join(f"{message.role}: {message.content}" for message in messages)


def says(words: str) -> Callable[[Call], str]:
    """Each time another reply: the words with the number of the call and with chatter in them."""
    return lambda call: words.format(n=call.key.call, chatter=CHATTER)


async def played(
    name: str, answer: Callable[[Call], str], work: Path, sampling: Sampling
) -> tuple[Attempt, ScriptedModel]:
    """One episode of a task's fixture, with a model that fails but talks."""
    task = registry.load(name)
    roles = {
        role: ScriptedModel(lambda call: "a short answer") for role in task.spec.roles if role != "judge"
    }
    ctx = task_context(task, resolve(name, FIXTURE).path, work, source="fixture", roles=tuple(roles))
    policy = task.history(ctx)
    model = ScriptedModel(answer)
    async with task.world(ctx) as world:
        task_run = TaskRun(
            spec=task.spec,
            world=world,
            model=model,
            live=LiveEpisodes(),
            roles=roles,
            history=policy,
            notice=window_notice(policy, ctx),
            sampling=sampling,
        )
        attempt = await run_episode(task_run, samples_of(task, ctx)[0], 0, Activity())
    assert attempt.outcome != "infra_error", attempt.error
    return attempt, model
