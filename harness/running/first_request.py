"""The first request of a sample's episode, as a run would send it."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace

from harness.errors import InfraError, OtherModel, UsageError
from harness.models.api import LiveEpisodes, Model, Options
from harness.models.clients.unsent import Unsent, hold
from harness.running.activity import Activity
from harness.running.plan import Plan
from harness.running.queue import PlannedEpisode
from harness.running.resume import open_store, plain_json
from harness.running.run_model import open_roles, open_tested
from harness.running.scratch import scratch
from harness.running.task_player import OpenModels, TaskPlayer

log = logging.getLogger(__name__)


async def first_request(plan: Plan, options: Options) -> tuple[Model, Unsent]:
    """Open the world of a plan's only sample, begin its episode, and close both before the first answer.

    Args:
        plan: of one sample of one task.
        options: of the model under test.

    Returns:
        The model, closed, and what it would have been sent.

    Raises:
        MissingPart: the world or a role lacks something.
        InfraError: the episode did not come to its first question.
    """
    (task,) = plan.tasks
    with scratch("harness-prompt-") as folder, closing(open_store(plan, folder / "run")) as store:
        async with AsyncExitStack() as stack:
            live = LiveEpisodes()
            tested = await stack.enter_async_context(_tested(plan, live, options))
            holding = hold(tested)
            roles = await open_roles(plan.request, tested, live, stack)
            player = TaskPlayer(task, plan.request, OpenModels(tested, live, roles), store, folder / "work")
            async with player.world():
                attempt = await player.play(PlannedEpisode(task.samples[0], 0), Activity())
        if holding.kept is None:
            said = attempt.error.strip().splitlines() or ["it ended without one"]
            raise InfraError(f"{task.spec.name} {attempt.sample} came to no question: {said[-1]}")
        return tested, holding.kept


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
