"""Plays one sample without a run: with a person as its model, or up to the first request to a model."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from typing import cast

from harness.errors import InfraError, OtherModel, UsageError
from harness.models.api import LiveEpisodes, Model, Options
from harness.models.clients.unsent import Unsent, hold
from harness.running.activity import Activity
from harness.running.person import Person, Screen
from harness.running.plan import Plan
from harness.running.queue import PlannedEpisode
from harness.running.resume import open_store, plain_json
from harness.running.run_model import open_roles, open_tested
from harness.running.task_player import OpenModels, TaskPlayer
from harness.storage.records import Attempt
from harness.storage.scratch import scratch

log = logging.getLogger(__name__)


async def play(plan: Plan, screen: Screen) -> Attempt:
    """Play a plan's only sample with a person in the place of the model.

    Args:
        plan: of one sample of one task, for the model `oracle`, which the person may ask.
        screen: where the person is.

    Returns:
        The attempt; one that the person left is an `infra_error` with the calls so far.
    """
    (task,) = plan.tasks
    live = LiveEpisodes()
    async with open_tested(plan.request, live) as oracle:
        person = cast(Model, Person(oracle, live, screen, task.spec.view))
        return await _attempt(plan, person, live, "play")


async def first_request(plan: Plan, options: Options) -> tuple[Model, Unsent]:
    """Begin the episode of a plan's only sample, and close everything before the first answer.

    Args:
        plan: of one sample of one task.
        options: of the model under test.

    Returns:
        The model, closed, and what it would have been sent, as a run would send it.

    Raises:
        MissingPart: the world or a role lacks something.
        InfraError: the episode did not come to its first question.
    """
    live = LiveEpisodes()
    async with _tested(plan, live, options) as tested:
        holding = hold(tested)
        attempt = await _attempt(plan, tested, live, "prompt")
    if holding.kept is None:
        said = attempt.error.strip().splitlines() or ["it ended without one"]
        raise InfraError(f"{attempt.task} {attempt.sample} came to no question: {said[-1]}")
    return tested, holding.kept


async def _attempt(plan: Plan, model: Model, live: LiveEpisodes, name: str) -> Attempt:
    """Open the world of a plan's only sample and play it, with a store that is deleted afterwards."""
    (task,) = plan.tasks
    with scratch(f"harness-{name}-") as folder, closing(open_store(plan, folder / "run")) as store:
        async with AsyncExitStack() as stack:
            roles = await open_roles(plan.request, model, live, stack)
            player = TaskPlayer(task, plan.request, OpenModels(model, live, roles), store, folder / "work")
            async with player.world():
                return await player.play(PlannedEpisode(task.samples[0], 0), Activity())


@asynccontextmanager
async def _tested(plan: Plan, live: LiveEpisodes, options: Options) -> AsyncGenerator[Model]:
    """Open the model under test, without its endpoints where none answers."""
    async with AsyncExitStack() as stack:
        try:
            tested = await stack.enter_async_context(open_tested(plan.request, live, options))
        except OtherModel:
            raise
        except UsageError as missing:
            try:
                alone = open_tested(plan.request, live, replace(options, offline=True))
                tested = await stack.enter_async_context(alone)
            except UsageError:  # more is missing than an endpoint
                raise missing from None
            log.warning("the request for a server of which nothing is known, because %s", missing)
        yield tested


def described(plan: Plan, tested: Model, request: Unsent) -> dict[str, object]:
    """A request with what it is for, as plain data."""
    (task,) = plan.tasks
    used = tested.info["templates"]
    named = next((used[key] for key in (task.spec.name, task.spec.suite, "default") if key in used), None)
    return plain_json(
        {
            "task": task.spec.name,
            "sample": task.samples[0].id,
            "model": tested.name,
            "kind": tested.info["kind"],
            "template": named,
            "url": request.url,
            "headers": {"Content-Type": "application/json", **request.headers},
            "body": request.body,
        }
    )
