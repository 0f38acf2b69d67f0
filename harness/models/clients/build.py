"""Connects an entry of the catalogue to its endpoints and hands back the model."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.catalog.models import Entry
from harness.errors import MissingPart, UsageError
from harness.models.address import check_address
from harness.models.api import ORACLE_S, Call, Model, Options
from harness.models.clients.confirm import Confirmation
from harness.models.clients.identity import dtype, identity
from harness.models.clients.openai import ChatModel, CompletionsModel
from harness.models.clients.probe import describe, survey
from harness.models.clients.served import check_served
from harness.models.clients.tgi import TgiModel
from harness.models.clients.transport import Transport
from harness.models.pool.clock import Clock
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.limits import PER_ENDPOINT, Limit
from harness.models.pool.pool import Pool
from harness.templates import Template, names, template
from harness.types import Profile, Reply

log = logging.getLogger(__name__)
_FILES = 48
"""Open files left for everything that is not a connection."""
_NOWHERE = "http://host:8080"
"""Stands for the endpoint of requests that are not sent, where none is named."""


async def connect(
    entry: Entry,
    endpoints: Sequence[str],
    *,
    concurrency: int | None,
    profile: Profile,
    options: Options | None,
    token: str,
) -> Model:
    """Open the session, ask the endpoints what they serve, and build the model."""
    options = _with_oracle_timeout(entry, options or Options())
    endpoints = endpoints or ([_NOWHERE] if options.offline else [])
    if not endpoints:
        raise UsageError(f"{entry.name} has no endpoint; give --endpoint http://host:port")
    urls = list(dict.fromkeys(base_url(entry, url) for url in endpoints))
    concurrency = open_files(concurrency, len(urls))
    chosen = templates(entry, profile, options)
    transport = Transport(limit=concurrency or 0, token=token or api_key(entry), read_s=options.read_s)
    confirmation = Confirmation(transport, entry)
    try:
        unasked = [Endpoint(url, Limit(1, 1)) for url in urls] if options.offline else None
        found = unasked or await survey(transport, entry, urls, concurrency=concurrency)
        check_served(entry, found)
        pool = Pool(
            found,
            alive=lambda endpoint: confirmation.alive(endpoint, found),
            concurrency=concurrency,
            clock=Clock(options.time_scale),
            seed=options.seed,
        )
    except BaseException:
        await transport.close()
        raise
    confirmation.abort = pool.abort
    info = _info(entry, found, chosen, options)
    model = _KINDS[entry.kind](entry, pool, transport, templates=chosen, info=info, options=options)
    model.confirm = confirmation.confirm
    return model


def _info(
    entry: Entry, endpoints: Sequence[Endpoint], chosen: Mapping[str, Template], options: Options
) -> dict[str, Any]:
    """What the manifest records of a model; `comparable` only where a reason is against it."""
    info: dict[str, Any] = {
        "kind": entry.kind,
        "identity": identity(entry, endpoints, chosen),
        "client": "aiohttp",
        "endpoints": [describe(endpoint) for endpoint in endpoints],
        "templates": {suite or "default": _described(one) for suite, one in chosen.items()},
        "hf": entry.hf,
        "stop": list(entry.stop),
        "sanitize": options.sanitize or entry.sanitize,
        "stream": options.stream or entry.stream,
        "provenance": entry.provenance,
        "warnings": [*mismatches(entry, endpoints), *rounded(entry, endpoints)],
    }
    reason = not_comparable(endpoints)
    return info | ({"comparable": reason} if reason else {})


def _described(used: Template) -> dict[str, Any]:
    """What the manifest records of a template; `notes` only where there are some."""
    return {"id": used.id, "sha256": used.sha256} | ({"notes": list(used.notes)} if used.notes else {})


def _with_oracle_timeout(entry: Entry, options: Options) -> Options:
    """Let an oracle's server take longer: it sends nothing until the reply is found."""
    waits = entry.kind == "oracle" and options.read_s is None
    return replace(options, read_s=ORACLE_S) if waits else options


class OracleModel(TgiModel):
    """A task's own oracle, which may take longer to answer than an endpoint is given."""

    async def complete(self, call: Call) -> Reply:
        """Answer a call, with at least ORACLE_S until the deadline."""
        return await super().complete(replace(call, deadline_s=max(call.deadline_s, ORACLE_S)))


def open_files(concurrency: int | None, endpoints: int) -> int | None:
    """Bound the requests in flight by the open files allowed here, after asking for more of them.

    Raises:
        MissingPart: not even a few are allowed.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES + 2 * (
        concurrency or PER_ENDPOINT * endpoints
    )  # a loopback server has the other end open as well
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return concurrency
    allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    if max(soft, allowed) >= wanted:
        return concurrency
    most = (max(soft, allowed) - _FILES) // 2
    if most < 1:
        raise MissingPart(
            f"only {max(soft, allowed)} open files are allowed here; allow more: ulimit -n 4096"
        )
    log.warning("only %d open files are allowed: %d requests at a time (ulimit -n %d)", soft, most, wanted)
    return most


_KINDS: Mapping[str, type[TgiModel] | type[CompletionsModel]] = {
    "tgi": TgiModel,
    "hf": TgiModel,
    "oracle": OracleModel,
    "replay": TgiModel,
    "openai": CompletionsModel,
    "chat": ChatModel,
}


def base_url(entry: Entry, url: str) -> str:
    """Normalise an endpoint's address; OpenAI's are often written with /v1 or a request's path."""
    check_address(url)
    url = url.rstrip("/")
    if entry.kind not in ("openai", "chat"):
        return url
    for path in ("/chat/completions", "/completions"):
        if url.endswith(f"/v1{path}"):
            url = url.removesuffix(path)
    return url.removesuffix("/v1")


def mismatches(entry: Entry, endpoints: Sequence[Endpoint]) -> list[str]:
    """Say where an endpoint announces another model than the entry; many announce a path on their disk."""
    path = "" if entry.kind == "replay" else entry.path  # of a replay it is the recording, no model's name
    wanted = {name.lower() for name in (entry.hf, path, entry.wire_name, *entry.aliases) if name}
    found = [
        f"{e.url} serves {e.capabilities.model_id!r}, not {entry.hf or entry.wire_name!r}"
        for e in endpoints
        if e.capabilities and e.capabilities.model_id and wanted and not entry.served
        if not wanted & {served.lower() for served in e.capabilities.model_id.split(",")}
    ]
    for line in found:
        log.warning("%s", line)
    return found


def not_comparable(endpoints: Sequence[Endpoint]) -> str:
    """Why no score of this model stands beside a published one; empty when nothing is against it."""
    told = [e.capabilities.info for e in endpoints if e.capabilities]
    return "random weights" if any(info.get("random_weights") is True for info in told) else ""


def rounded(entry: Entry, endpoints: Sequence[Endpoint]) -> list[str]:
    """Say that a model which runs here with few digits does not give the same greedy texts in every batch."""
    dtypes = {dtype(e.capabilities) for e in endpoints if e.capabilities and entry.kind == "hf"}
    return [f"{one}: greedy texts may differ with what else ran in the batch" for one in dtypes - {"float32"}]


def templates(entry: Entry, profile: Profile, options: Options) -> Mapping[str, Template]:
    """Choose the template of each suite; `paper` takes the variant with FastChat's quirk, if any.

    Raises:
        UsageError: there is no such template, or it cannot render a conversation.
    """

    def variant(name: str) -> Template:
        upstream = f"{name}-upstream"
        used = template(upstream if profile == "paper" and upstream in names() else name)
        used.try_out()
        return used

    if entry.kind == "chat":
        return {}
    if options.template:
        return {"": variant(options.template)}
    return {"": variant(entry.template)} | {suite: variant(name) for suite, name in entry.templates.items()}


def api_key(entry: Entry) -> str:
    """Read the bearer token from the environment variable the entry names; it is not stored."""
    if not entry.api_key_env:
        return ""
    if not (token := os.environ.get(entry.api_key_env)):
        raise MissingPart(f"{entry.name} needs an API key: export {entry.api_key_env}=...")
    return token
