"""Plays one sample with a person in the place of the model."""

from __future__ import annotations

from contextlib import AsyncExitStack, closing
from typing import cast

from harness.models.api import LiveEpisodes, Model
from harness.running.activity import Activity
from harness.running.person import Person, Screen
from harness.running.plan import Plan
from harness.running.queue import PlannedEpisode
from harness.running.resume import open_store
from harness.running.run_model import open_roles, open_tested
from harness.running.scratch import scratch
from harness.running.task_player import OpenModels, TaskPlayer
from harness.storage.records import Attempt


async def play(plan: Plan, screen: Screen) -> Attempt:
    """Open the world of a plan's only sample, play it, and close everything again.

    Args:
        plan: of one sample of one task, for the model `oracle`, whom the person may ask.
        screen: where the person is.

    Returns:
        The attempt; one that the person left is an `infra_error` with the calls so far.
    """
    (task,) = plan.tasks
    with scratch("harness-play-") as folder, closing(open_store(plan, folder / "run")) as store:
        async with AsyncExitStack() as stack:
            live = LiveEpisodes()
            oracle = await stack.enter_async_context(open_tested(plan.request, live))
            person = cast(Model, Person(oracle, live, screen, task.spec.view))
            roles = await open_roles(plan.request, person, live, stack)
            player = TaskPlayer(task, plan.request, OpenModels(person, live, roles), store, folder / "work")
            async with player.world():
                return await player.play(PlannedEpisode(task.samples[0], 0), Activity())
