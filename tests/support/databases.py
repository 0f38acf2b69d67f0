"""Episodes of DBBench's fixture, played statement by statement."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from contexts import samples_of, task_context

from harness import data
from harness.types import Reply
from tasks.dbbench.episode import DbEpisode
from tasks.dbbench.task import TASK
from tasks.dbbench.world import DbWorld

FIXTURE = data.resolve("dbbench", "fixture").path


@asynccontextmanager
async def episode(world: DbWorld, index: int = 0) -> AsyncIterator[DbEpisode]:
    """One sample of the fixture, reset, and closed in any case."""
    ctx = task_context(TASK, FIXTURE, Path(), source="fixture")
    opened = await world.episode(samples_of(TASK, ctx, "std")[index], {}, 0)
    try:
        await opened.reset()
        yield opened
    finally:
        await opened.close()


async def said(opened: DbEpisode, sql: str) -> str:
    """What the model sees of a statement."""
    observation = await opened.step(Reply(f"Action: Operation\n```sql\n{sql}\n```"))
    (message,) = observation.messages
    return message.content


def pid_of(world: DbWorld) -> int:
    """Process id of the world's own server."""
    assert world.server is not None
    assert world.server.pid is not None
    return world.server.pid
