"""Plays HotpotQA's and ReWOO's episodes with a function for a model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contexts import samples_of, task_context

from harness.episode import Task
from harness.seeds import derive
from harness.types import Chat, Context, Observation, Pending, Profile, Reply, Sample, Score
from tasks._shared.web import RequestLimits

QUICK = RequestLimits(rate=10_000, burst=1_000, parallel=8, timeout_s=10, tries=3, first_wait_s=0.001)
Player = Callable[[Observation], str | Awaitable[str]]


def fixture_of(task: Task) -> Path:
    return Path(__file__).parents[2] / "tasks" / task.spec.name / "fixture"


def context(
    task: Task,
    data: Path,
    work: Path,
    profile: Profile = "paper",
    roles: Sequence[str] = (),
    **options: Any,
) -> Context:
    """The context of a run with these options and the profile's others."""
    source = "fixture" if data == fixture_of(task) else "mirror"
    return task_context(task, data, work, profile=profile, source=source, roles=roles, **options)


def sample(task: Task, ctx: Context, ident: str) -> Sample:
    return next(item for item in samples_of(task, ctx) if item.id == ident)


async def play(
    task: Task, ctx: Context, item: Sample, answer: Player, chats: Mapping[str, Chat] | None = None
) -> tuple[Score | Pending, list[Observation]]:
    """Play one episode; gives its score and everything the model was shown."""
    async with task.world(ctx) as world:
        episode = await world.episode(item, chats or {}, derive(0, item.id))
        seen = [await episode.reset()]
        while not seen[-1].done:
            said = answer(seen[-1])
            text = said if isinstance(said, str) else await said
            seen.append(await episode.step(Reply(text)))
        score = await episode.score()
        await episode.close()
        await episode.close()
    return score, seen


def scripted(*replies: str) -> Player:
    """Give these replies in turn; asking for more fails the test."""
    left = iter(replies)
    return lambda observation: next(left)


def scored(score: Score | Pending) -> Score:
    assert isinstance(score, Score)
    return score
