"""Embeddings models behind endpoints: text-embeddings-inference, or a server with `/v1/embeddings`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from harness.catalog.models import Entry
from harness.errors import MissingPart, UsageError
from harness.models.clients.build import base_url, mismatches
from harness.models.clients.embed import Batches, Embed, Embedded, Embedder
from harness.models.clients.embed_wire import BATCH, EmbeddingsProtocol, OpenAI, Tei
from harness.models.clients.probe import alive, describe, survey
from harness.models.clients.transport import Transport
from harness.models.pool.capabilities import Capabilities
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.pool import Pool
from harness.models.untrusted import count, record


class RemoteEmbedder(Embedder):
    """An embeddings model behind one or more endpoints."""

    def __init__(
        self,
        name: str,
        pool: Pool,
        transport: Transport,
        protocol: EmbeddingsProtocol,
        info: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.info = info
        self._pool = pool
        self._transport = transport
        self._batches = Batches(pool, transport, protocol)

    async def embed(self, call: Embed) -> Embedded:
        """Turn texts into vectors, retrying each request until its deadline."""
        return await self._batches.embed(call, call.deadline_s)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()
        await self._transport.close()


@asynccontextmanager
async def open_embedder(
    name: str, urls: Sequence[str], *, token: str = "", concurrency: int | None = None
) -> AsyncGenerator[Embedder, None]:
    """Open an embeddings model at its endpoints, over the protocol that they have.

    Raises:
        MissingPart: no endpoint answers, or none embeds.
        UsageError: an address is no URL, or the endpoints serve different models.
    """
    entry = Entry(name, "openai", wire_name=name)
    urls = list(dict.fromkeys(base_url(entry, url) for url in urls))
    transport = Transport(limit=concurrency or 0, token=token)
    try:
        found, protocol = await _found(transport, entry, urls, concurrency)
    except BaseException:
        await transport.close()
        raise
    pool = Pool(found, alive=lambda endpoint: alive(transport, endpoint, found), concurrency=concurrency)
    info = {
        "kind": "tei" if isinstance(protocol, Tei) else "openai-embeddings",
        "endpoints": [describe(endpoint) for endpoint in found],
        "warnings": mismatches(entry, found),
    }
    model = RemoteEmbedder(name, pool, transport, protocol, info)
    try:
        yield model
    finally:
        await asyncio.shield(model.close())


async def _found(
    transport: Transport, entry: Entry, urls: Sequence[str], concurrency: int | None
) -> tuple[list[Endpoint], EmbeddingsProtocol]:
    """Ask the endpoints what they serve: TEI tells its kind of model in /info, others list their models."""
    native = Entry(entry.name, "tgi")
    found = await survey(transport, native, urls, concurrency=concurrency)
    known_endpoints = [(e.url, e.capabilities) for e in found if e.capabilities is not None]
    for url, known in known_endpoints:
        if not _embeds(known):
            raise MissingPart(
                f"{url} serves {known.model_id}, which does not embed; start an embeddings model"
            )
    infos = [known.info for _, known in known_endpoints]
    if all(_is_tei(info) for info in infos):
        most = min(count(info.get("max_client_batch_size")) or BATCH for info in infos)
        return found, Tei(min(BATCH, most))
    if any(_is_tei(info) for info in infos):
        raise UsageError(f"{', '.join(urls)}: only some are TEI servers; give endpoints of one kind")
    found = await survey(transport, entry, urls, concurrency=concurrency)
    if not any(e.capabilities and e.capabilities.model_id for e in found):
        raise MissingPart(
            f"{', '.join(urls)}: neither TEI's /info nor OpenAI's /v1/models is there; "
            "give the address of an embeddings server"
        )
    return found, OpenAI(entry.name)


def _is_tei(info: Mapping[str, Any]) -> bool:
    return "model_type" in info or "model_pooling" in info


def _embeds(known: Capabilities) -> bool:
    """Whether a server may embed: TEI tells its kind of model unless it is old, TGI never embeds."""
    kind = known.info.get("model_type")
    if kind is None:
        return known.server != "tgi" or _is_tei(known.info)
    return kind == "embedding" or "embedding" in record(kind)
