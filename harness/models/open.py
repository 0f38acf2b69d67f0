"""Connects an entry of the catalogue to its endpoints and hands back the model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import MissingPart, UsageError
from harness.models.catalog import Entry
from harness.models.client import Model, Options
from harness.templates import Template, names, template
from harness.types import Profile


async def connect(
    entry: Entry,
    endpoints: Sequence[str],
    *,
    concurrency: int | None,
    profile: Profile,
    options: Options | None,
) -> Model:
    """Open the session, ask the endpoints who they are, and build the model."""
    from harness.models.pool import Pool
    from harness.models.tgi import TgiModel, open_session

    options = options or Options()
    if not endpoints:
        raise UsageError(f"{entry.name} has no endpoint; give --endpoint http://host:port")
    pool = Pool(endpoints, concurrency=concurrency, scale=options.time_scale, seed=options.seed)
    session = open_session(concurrency or 128 * len(endpoints), api_key(entry))
    chosen = templates(entry, profile, options)
    info: dict[str, Any] = {
        "kind": entry.kind,
        "client": "aiohttp",
        "endpoints": [{"url": endpoint.url} for endpoint in pool.endpoints],
        "templates": {suite or "default": {"id": t.id, "sha256": t.sha256} for suite, t in chosen.items()},
        "provenance": entry.provenance,
    }
    return TgiModel(entry, pool, session, templates=chosen, info=info, options=options)


def templates(entry: Entry, profile: Profile, options: Options) -> Mapping[str, Template]:
    """Choose the template of each suite; `paper` takes the one with upstream's quirk if there is one."""

    def variant(name: str) -> Template:
        quirky = f"{name}-upstream"
        return template(quirky if profile == "paper" and quirky in names() else name)

    if options.template:
        return {"": variant(options.template)}
    return {"": variant(entry.template)} | {suite: variant(name) for suite, name in entry.templates.items()}


def api_key(entry: Entry) -> str:
    """Read the bearer token from the environment variable the entry names; it is stored nowhere."""
    if not entry.api_key_env:
        return ""
    if not (token := os.environ.get(entry.api_key_env)):
        raise MissingPart(f"{entry.name} needs an API key: export {entry.api_key_env}=...")
    return token
