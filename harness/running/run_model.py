"""Opens the model under test, tries the models of a run, and says how many episodes may be live at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace

from harness.errors import MissingPart
from harness.models.api import LiveEpisodes, Model, Options
from harness.models.connect import open_model
from harness.models.pool.limits import PER_ENDPOINT
from harness.models.roles import RoleSpec, open_role, parse_role
from harness.models.sampling import Ignored, over_openai, unfit
from harness.models.trial import no_room, ranking, refused_extra, trial
from harness.running.judge_stage import judge_role
from harness.running.request import RunRequest
from harness.running.role_trial import try_role

PREFETCH = 1.25
"""Live episodes per request in flight: environments reset while the model is busy with others."""


async def check_model(
    request: RunRequest,
    ranked: Mapping[str, str],
    opened: Callable[[Model], None] = lambda model: None,
    *,
    drawn: Mapping[str, str] | None = None,
    found: list[Ignored] | None = None,
) -> list[str]:
    """Lines for what the models of a run lack; each endpoint is sent one short request.

    Args:
        request: names the model under test, its roles and its judge.
        ranked: for each task that has it rank choices, the options under which it does not.
        drawn: for each task, the options under which it does without drawn replies; empty for a greedy one.
        found: is filled with what the server ignores of a request.
        opened: looks at the model under test before anything is sent to it; what it raises ends the check.
    """
    lines: list[str] = []
    try:
        async with open_tested(request, LiveEpisodes()) as tested:
            opened(tested)
            lines += no_room(tested, request.models.sampling.max_new_tokens)
            lines += [] if lines else map(str, await trial(tested))
            lines += [] if lines else await refused_extra(tested, request.models.sampling.extra)
            lines += [] if lines else await ranking(tested, ranked)
            if not lines and over_openai(tested):
                lines += await unfit(tested, drawn or {}, [] if found is None else found)
    except MissingPart as error:
        lines += str(error).splitlines()
    judge = [judge_role(request.models.judge)] if request.models.judge else []
    for role in [*map(parse_role, request.models.roles), *judge]:
        lines += await _check_role(role)
    return lines


async def _check_role(role: RoleSpec) -> list[str]:
    if role.selector == "self":
        return []
    try:
        async with open_role(role) as model:
            return await try_role(role, model)
    except MissingPart as error:
        return [f"role {role.role}: {line}" for line in str(error).splitlines()]


async def open_roles(
    request: RunRequest, tested: Model, live: LiveEpisodes, stack: AsyncExitStack
) -> dict[str, Model]:
    """Open the auxiliary models of a run, which the stack closes."""
    opened: dict[str, Model] = {}
    for role in map(parse_role, request.models.roles):
        opening = open_role(role, tested=tested, live=live, profile=request.workload.profile)
        opened[role.role] = await stack.enter_async_context(opening)
    return opened


def open_tested(
    request: RunRequest, live: LiveEpisodes, options: Options | None = None
) -> AbstractAsyncContextManager[Model]:
    """Open the model under test."""
    return open_model(
        request.models.entry(),
        endpoints=request.models.endpoints,
        live=live,
        concurrency=request.models.concurrency,
        profile=request.workload.profile,
        options=replace(
            options or Options(),
            choice_method=request.models.choices or "",
            reasoning=request.models.reasoning,
        ),
    )


def live_bound(request: RunRequest) -> int:
    """Most episodes of a run that are under way at once."""
    flights = request.models.concurrency or PER_ENDPOINT * max(len(request.models.endpoints), 1)
    return max(1, int(flights * PREFETCH))
