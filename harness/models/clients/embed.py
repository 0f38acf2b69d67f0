"""Models that embed for a role: what one is, and those behind endpoints."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.catalog.models import Entry
from harness.errors import InfraError, MissingPart, UsageError
from harness.models import outside
from harness.models.api import ORACLE_S, Call, Model, Vectors
from harness.models.clients import wire
from harness.models.clients.base import BaseModel
from harness.models.clients.build import base_url, mismatches
from harness.models.clients.embed_wire import BATCH, OpenAI, Speech, Tei
from harness.models.clients.probe import alive, describe, survey
from harness.models.clients.transport import Transport
from harness.models.pool.capabilities import Capabilities
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Fault
from harness.models.pool.pool import Pool
from harness.models.untrusted import count, record
from harness.types import CallKey, Message, Reply

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Embed:
    """Texts to turn into vectors for one key of a role.

    Attributes:
        key: the episode.
        part: the key, unique in the episode.
        deadline_s: of each request with its retries.
    """

    key: CallKey
    role: str
    part: str
    texts: tuple[str, ...]
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors in the order of their texts, and the tokens that were counted, 0 when nobody told."""

    vectors: Vectors
    tokens: int = 0


class Embedder:
    """A model that embeds and does nothing else; stands among the others as a role's model."""

    name: str
    info: Mapping[str, Any]

    async def embed(self, call: Embed) -> Embedded:
        """Turn texts into vectors.

        Raises:
            InfraError: no endpoint answered with vectors of these texts before the deadline.
        """
        raise NotImplementedError

    def render(self, messages: Sequence[Message], suite: str = "", task: str = "") -> str:
        """Show a conversation; it is sent nowhere."""
        del suite, task
        return "\n\n".join(f"{m.role}: {m.content}" for m in messages)

    async def count(self, text: str) -> int | None:
        """Count no tokens."""
        del text
        return None

    async def complete(self, call: Call) -> Reply:
        """Refuse."""
        raise InfraError(f"{self.name} embeds and cannot answer ({call.role or call.key.task})")

    async def close(self) -> None:
        """Nothing to close."""


async def embed(model: Model, call: Embed) -> Embedded:
    """Embed with whatever model a role is bound to.

    Raises:
        InfraError: it cannot, or it failed.
    """
    if isinstance(model, Embedder):
        return await model.embed(call)
    if isinstance(model, BaseModel) and model.entry.kind in ("oracle", "replay"):
        longest = max(call.deadline_s, ORACLE_S) if model.entry.kind == "oracle" else call.deadline_s
        # One request: a recording has the vectors of a key in one piece.
        return await _Batches(model.pool, model.transport, Tei(len(call.texts))).embed(call, longest)
    bind = f"--role {call.role}"
    raise InfraError(f"{model.name} does not embed; bind {bind}=NAME@URL or {bind}=st:FOLDER")


@dataclass(frozen=True, slots=True)
class _Batch:
    """One answer, as the pool measures it."""

    vectors: Vectors
    output_tokens: int
    queue_s: float | None


class _Batches:
    """Sends texts in batches; all vectors that come back are as long as the first."""

    def __init__(self, pool: Pool, transport: Transport, speech: Speech) -> None:
        self._pool = pool
        self._transport = transport
        self._speech = speech
        self._length = 0

    async def embed(self, call: Embed, deadline_s: float) -> Embedded:
        """Send one batch after the other; the deadline is for each with its retries."""
        found: list[tuple[float, ...]] = []
        tokens = 0
        for start in range(0, len(call.texts), self._speech.most):
            texts = [outside.paired(text) for text in call.texts[start : start + self._speech.most]]
            batch = await self._send(call, texts, deadline_s)
            found += batch.vectors
            tokens += batch.output_tokens
        return Embedded(tuple(found), tokens)

    async def _send(self, call: Embed, texts: Sequence[str], deadline_s: float) -> _Batch:
        headers = wire.headers(call.key, call.role, call.part)
        body = msgspec.json.encode(self._speech.request(texts))

        async def attempt(endpoint: Endpoint) -> _Batch:
            url = endpoint.url + self._speech.path
            data, said = await self._transport.post(url, body, headers)
            try:
                vectors, tokens = self._speech.read(data, said, len(texts))
                self._measure(vectors)
            except ValueError as error:
                text = f"{url} answered 200 without {len(texts)} vectors of one length ({error})"
                raise Fault("no-vectors", text) from error
            return _Batch(vectors, tokens, wire.queue_s(said))

        episode = f"{call.key.task}/{call.key.sample}/{call.key.repeat}"
        batch, _, _ = await self._pool.run(episode, attempt, deadline_s=deadline_s)
        return batch

    def _measure(self, vectors: Vectors) -> None:
        length = len(vectors[0])
        self._length = self._length or length
        if length != self._length:
            raise ValueError(f"vectors of different lengths: {self._length} before, {length} now")


class RemoteEmbedder(Embedder):
    """An embeddings model behind one or more endpoints."""

    def __init__(
        self, name: str, pool: Pool, transport: Transport, speech: Speech, info: Mapping[str, Any]
    ) -> None:
        self.name = name
        self.info = info
        self._pool = pool
        self._transport = transport
        self._batches = _Batches(pool, transport, speech)

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
    """Open an embeddings model at its endpoints, whichever of the two protocols they speak.

    Raises:
        MissingPart: no endpoint answers, or none embeds.
        UsageError: an address is no URL, or the endpoints serve different models.
    """
    entry = Entry(name, "openai", wire_name=name)
    urls = list(dict.fromkeys(base_url(entry, url) for url in urls))
    transport = Transport(limit=concurrency or 0, token=token)
    try:
        found, speech = await _found(transport, entry, urls, concurrency)
    except BaseException:
        await transport.close()
        raise
    pool = Pool(found, alive=lambda endpoint: alive(transport, endpoint, found), concurrency=concurrency)
    info = {
        "kind": "tei" if isinstance(speech, Tei) else "openai-embeddings",
        "endpoints": [describe(endpoint) for endpoint in found],
        "warnings": mismatches(entry, found),
    }
    model = RemoteEmbedder(name, pool, transport, speech, info)
    try:
        yield model
    finally:
        await asyncio.shield(model.close())


async def _found(
    transport: Transport, entry: Entry, urls: Sequence[str], concurrency: int | None
) -> tuple[list[Endpoint], Speech]:
    """Ask the endpoints who they are; TEI tells its kind of model in /info, others list theirs."""
    native = Entry(entry.name, "tgi")
    found = await survey(transport, native, urls, concurrency=concurrency)
    able = [(e.url, e.capabilities) for e in found if e.capabilities is not None]
    for url, known in able:
        if not _embeds(known):
            raise MissingPart(
                f"{url} serves {known.model_id}, which does not embed; start an embeddings model"
            )
    infos = [known.info for _, known in able]
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
    """Whether a server may embed: TEI tells its kind of model, except old versions, and TGI never does."""
    kind = known.info.get("model_type")
    if kind is None:
        return known.server != "tgi" or _is_tei(known.info)
    return kind == "embedding" or "embedding" in record(kind)
