"""Asks an endpoint which model it serves and what it can do."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from harness.catalog.models import Entry
from harness.errors import MissingPart, UsageError
from harness.models import outside
from harness.models.clients.neutral import LITELLM_ALIVE, VERSIONS, by_listing, by_pages
from harness.models.clients.transport import Transport
from harness.models.once import Once
from harness.models.pool.capabilities import Capabilities
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Fault
from harness.models.pool.limits import Limit, cap_for
from harness.models.untrusted import count, decode, kept, record, rows, short

log = logging.getLogger(__name__)
T = TypeVar("T")
_TRIES, _PAUSE_S = 3, 0.2
_PAGES = ("/props", "/version", "/openapi.json")
_MODELS = 1000
"""Models read from a server's list; the rest of a longer list is ignored."""


def from_info(info: Mapping[str, Any]) -> Capabilities:
    """Read TGI's /info, whose keys changed over the versions."""
    text = short(info.get("version"))
    version = tuple(int(part) for part in re.findall(r"\d{1,6}", text)[:3])
    methods = ["F"]
    if version >= (1, 0, 3):
        methods.append("T")
    # From 3.0 on prefill needs a server flag that /info does not show; the first call of method P does.
    methods.append("P")
    if version >= (1, 4, 1):
        methods.append("G")
    return Capabilities(
        server="tgi",
        version=text,
        model_id=short(info.get("model_id")),
        model_sha=short(info.get("model_sha")),
        tokenize=version >= (1, 4, 0),
        chat=version >= (1, 4, 0),
        methods=tuple(methods),
        max_input=count(info.get("max_input_tokens")) or count(info.get("max_input_length")) or 0,
        max_total=count(info.get("max_total_tokens")) or 0,
        max_concurrent=count(info.get("max_concurrent_requests")) or 0,
        info=kept(info),
    )


async def probe(transport: Transport, url: str, *, openai: bool = False) -> Capabilities:
    """Ask one endpoint; one without a usable /info is a generic server.

    Raises:
        Fault: it does not answer at all, or says that it is not ready.
    """
    info = await _get_object(transport, url + "/info")
    native = from_info(info) if short(info.get("version")) and short(info.get("model_id")) else None
    if not openai:
        return native or Capabilities(info=kept(info))
    listed, headers = await _get(transport, url + "/v1/models")
    ids = (short(record(row).get("id")) for row in rows(listed.get("data"))[:_MODELS])
    served = ",".join(sorted(filter(None, ids)))
    software = "tgi" if native else by_listing(listed, headers)
    able = Capabilities(
        "openai", model_id=served, chat=True, tokenize=False, info=kept(listed), software=software
    )
    if native is None:
        return able
    return dataclasses.replace(
        able,
        version=native.version,
        model_sha=native.model_sha,
        max_concurrent=native.max_concurrent,
        info=native.info,
    )


async def _get_object(transport: Transport, url: str) -> dict[str, Any]:
    """Get an object; empty when the server has none there.

    Raises:
        Fault: it does not answer, or says that it is not ready.
    """
    return (await _get(transport, url))[0]


async def _get(transport: Transport, url: str) -> tuple[dict[str, Any], Mapping[str, str]]:
    status, body, headers = await transport.page(url)
    if status >= 500 or status == 429:
        reason = outside.line(body[:1000].decode("utf-8", "replace"), 200)
        raise Fault(str(status), f"{url} answered {status}: {reason}")
    try:
        return (record(decode(body)) if status == 200 else {}), headers
    except ValueError:
        return {}, headers


surveyed = Once[tuple[str, str], Capabilities]("surveyed")
"""What endpoints that answered told. That they go on serving the same model is confirmed after answers."""


async def survey(
    transport: Transport, entry: Entry, urls: Sequence[str], *, concurrency: int | None
) -> list[Endpoint]:
    """Ask all endpoints; those that do not answer start outside the pool.

    Raises:
        MissingPart: none answers.
        UsageError: they serve different models.
    """
    found = await asyncio.gather(*(_probe_repeatedly(transport, url.rstrip("/"), entry) for url in urls))
    endpoints: list[Endpoint] = []
    for url, known in zip(urls, found, strict=True):
        able = known if isinstance(known, Capabilities) else None
        endpoint = Endpoint(url, Limit(*cap_for(able.max_concurrent if able else 0, concurrency)), able)
        endpoint.healthy = able is not None
        endpoints.append(endpoint)
    answered = [e for e in endpoints if e.capabilities is not None]
    if not answered:
        first = next(fault for fault in found if isinstance(fault, Fault))
        if first.fix:
            raise MissingPart(f"{entry.name}: {first}")
        raise MissingPart(
            f"{entry.name}: no endpoint answers ({first}); start one (docker/README.md) "
            "or give --endpoint http://host:port"
        )
    for url, known in zip(urls, found, strict=True):
        if isinstance(known, Fault):
            log.warning("%s does not answer and starts outside the pool: %s", url, known)
    for endpoint in answered[1:]:
        if difference := differs(answered[0], endpoint):
            raise UsageError(f"the endpoints serve different models: {difference}; give only those of one")
    return endpoints


async def _probe_repeatedly(transport: Transport, url: str, entry: Entry) -> Capabilities | Fault:
    if (known := surveyed.get((url, entry.kind))) is not None:
        return known
    openai = entry.kind in ("openai", "chat")
    able = await patiently(partial(asked_once, transport, url, openai=openai), _PAUSE_S)
    if isinstance(able, Capabilities):
        surveyed.put((url, entry.kind), able)
    return able


async def asked_once(transport: Transport, url: str, *, openai: bool) -> Capabilities:
    """Ask one endpoint what `probe` asks, and which kind of server it is.

    Raises:
        Fault: as `probe`.
    """
    able = await probe(transport, url, openai=openai)
    return dataclasses.replace(able, **await _software(transport, url, able)) if openai else able


async def patiently(ask: Callable[[], Awaitable[T]], pause_s: float) -> T | Fault:
    """Ask again after what may pass, three times in all with longer pauses; gives the last failure."""
    fault = Fault("", "")
    for attempt in range(_TRIES):
        await asyncio.sleep(pause_s * attempt)
        try:
            return await ask()
        except Fault as error:
            fault = error
    return fault


async def _software(transport: Transport, url: str, able: Capabilities) -> dict[str, str]:
    """Ask the pages that tell a server's kind where its list of models does not, and its version."""
    named = any(record(row).get("owned_by") for row in rows(able.info.get("data")))
    found = able.software
    try:
        if not found and named:  # a bare list of names: there are no further pages
            page, words = LITELLM_ALIVE
            if (await transport.get(url + page))[1] == words:
                return {"software": "litellm"}
            found = by_pages(*[await _get_object(transport, url + path) for path in _PAGES])
        page, key = VERSIONS.get(found, ("", ""))
        told = await _get_object(transport, url + page) if page else {}
    except Fault:
        return {"software": found}
    return {"software": found, "build": short(told.get(key))}


def differs(one: Endpoint, other: Endpoint) -> str:
    """Say how two endpoints' models differ; empty when they do not, or when one is unknown."""
    a, b = one.capabilities, other.capabilities
    if a is None or b is None:
        return ""
    for name in ("model_id", "model_sha", "software"):
        mine, theirs = getattr(a, name), getattr(b, name)
        if mine and theirs and mine != theirs:
            return f"{one.url} has {name} {mine}, {other.url} has {theirs}"
    return ""


async def alive(
    transport: Transport,
    endpoint: Endpoint,
    all_endpoints: Sequence[Endpoint],
    changed: Callable[[Endpoint, Capabilities], object] = lambda endpoint, now: None,
) -> bool:
    """Ask an ejected endpoint for its health, and whether it still serves the same model.

    `changed` is told what an endpoint serves now, and answers truly when that is not what it served.
    """
    try:
        status, _ = await transport.get(endpoint.url + "/health")
        if status >= 500:  # a server without /health answers 404, and is there
            return False
        known = endpoint.capabilities
        now = await probe(transport, endpoint.url, openai=known is not None and known.server == "openai")
    except Fault:
        return False
    if changed(endpoint, now):
        return False
    fresh = Endpoint(endpoint.url, endpoint.limit, now)
    for other in all_endpoints:
        if difference := differs(other, fresh):
            log.error("%s stays outside the pool: %s", endpoint.url, difference)
            return False
    if known is not None:
        now = dataclasses.replace(now, software=now.software or known.software, build=known.build)
    endpoint.capabilities = now
    return True


def describe(endpoint: Endpoint) -> dict[str, Any]:
    """List an endpoint's capabilities, for the manifest."""
    able = endpoint.capabilities
    return {"url": endpoint.url, "limit": endpoint.limit.cap} | (dataclasses.asdict(able) if able else {})
