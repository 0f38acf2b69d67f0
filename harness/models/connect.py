"""Opens the model that a selector names."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from harness.catalog import models as catalog
from harness.catalog.models import Entry
from harness.errors import UsageError
from harness.models.api import LiveEpisodes, Model, Options
from harness.types import Profile


@asynccontextmanager
async def open_model(
    selector: str | Entry,
    *,
    endpoints: Sequence[str] = (),
    live: LiveEpisodes | None = None,
    concurrency: int | None = None,
    profile: Profile = "paper",
    options: Options | None = None,
) -> AsyncGenerator[Model, None]:
    """Open the model that a selector names, and close it on leaving.

    Args:
        selector: the value of `--model`: `agentlm-70b`, `NAME@openai`, `NAME@chat`, `oracle`,
            `replay:FILE`, `hf:PATH_OR_ID` (harness/catalog/models.py), or what it was resolved to.
        endpoints: base URLs; empty for those of models.toml.
        live: needed by `oracle`.
        concurrency: most requests in flight over all endpoints.
        profile: `paper` renders with FastChat's empty-message quirk.
        options: rarely needed settings.

    Raises:
        UsageError: unknown name, or endpoints that serve different models.
        MissingPart: no endpoint answers, a file or a package is missing.
    """
    entry = selector if isinstance(selector, Entry) else catalog.find(selector)
    if endpoints and entry.local:
        raise UsageError(f"{entry.name} runs inside the harness: leave out --endpoint")
    async with AsyncExitStack() as stack:
        if entry.kind in ("oracle", "replay"):
            from harness.models.local.loopback import serve

            endpoints = [await stack.enter_async_context(serve(entry, live or LiveEpisodes()))]
        elif entry.kind == "hf":
            from harness.models.local.local_hf import serve_local

            entry, url = await stack.enter_async_context(serve_local(entry))
            endpoints = [url]
        elif not endpoints:
            endpoints = entry.endpoints
        from harness.models.clients.build import connect

        options = options or Options()
        model = await connect(
            entry, endpoints, concurrency=concurrency, profile=profile, options=options, token=options.token
        )
        try:
            yield model
        finally:
            await model.close()
