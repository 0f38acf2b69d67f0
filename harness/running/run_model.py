"""Opens the model under test, and says how many episodes may be live at once."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from harness.errors import MissingPart
from harness.models.api import LiveEpisodes, Model
from harness.models.connect import open_model
from harness.models.pool.limits import PER_ENDPOINT
from harness.running.request import RunRequest

PREFETCH = 1.25
"""Live episodes per request in flight: environments reset while the model is busy with others."""


async def check_model(request: RunRequest) -> list[str]:
    """Lines for what the model under test lacks; only `/info` is requested."""
    try:
        async with open_tested(request, LiveEpisodes()):
            return []
    except MissingPart as error:
        return str(error).splitlines()


def open_tested(request: RunRequest, live: LiveEpisodes) -> AbstractAsyncContextManager[Model]:
    """Open the model under test."""
    return open_model(
        request.models.model,
        endpoints=request.models.endpoints,
        live=live,
        concurrency=request.models.concurrency,
        profile=request.workload.profile,
    )


def live_bound(request: RunRequest) -> int:
    """Most episodes of a run that are under way at once."""
    flights = request.models.concurrency or PER_ENDPOINT * max(len(request.models.endpoints), 1)
    return max(1, int(flights * PREFETCH))
