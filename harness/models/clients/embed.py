"""Models that embed for a role: what one is, and how texts are sent in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.errors import InfraError
from harness.models import outside
from harness.models.api import ORACLE_S, Call, Model, Vectors
from harness.models.clients.answer import queue_s
from harness.models.clients.base import BaseModel
from harness.models.clients.embed_wire import EmbeddingsProtocol, Tei
from harness.models.clients.request import call_headers
from harness.models.clients.transport import Transport
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Fault
from harness.models.pool.pool import Pool
from harness.types import CallKey, Message, Reply


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


class Embedded(msgspec.Struct, frozen=True):
    """Vectors in the order of their texts.

    Attributes:
        output_tokens: tokens that were counted, 0 when nobody counted.
        queue_s: seconds that the request queued in the server, None when it does not tell.
    """

    vectors: Vectors
    output_tokens: int = 0
    queue_s: float | None = None


class Embedder:
    """A role's model that turns texts into vectors and does nothing else."""

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
        return await Batches(model.pool, model.transport, Tei(len(call.texts))).embed(call, longest)
    bind = f"--role {call.role}"
    raise InfraError(f"{model.name} does not embed; bind {bind}=NAME@URL or {bind}=st:FOLDER")


class Batches:
    """Sends texts in batches; all vectors that come back are as long as the first."""

    def __init__(self, pool: Pool, transport: Transport, protocol: EmbeddingsProtocol) -> None:
        self._pool = pool
        self._transport = transport
        self._protocol = protocol
        self._length = 0

    async def embed(self, call: Embed, deadline_s: float) -> Embedded:
        """Send one batch after the other; the deadline is for each with its retries."""
        found: list[tuple[float, ...]] = []
        tokens = 0
        for start in range(0, len(call.texts), self._protocol.most):
            texts = [outside.paired(text) for text in call.texts[start : start + self._protocol.most]]
            batch = await self._send(call, texts, deadline_s)
            found += batch.vectors
            tokens += batch.output_tokens
        return Embedded(tuple(found), tokens)

    async def _send(self, call: Embed, texts: Sequence[str], deadline_s: float) -> Embedded:
        headers = call_headers(call.key, call.role, call.part)
        body = msgspec.json.encode(self._protocol.request(texts))

        async def attempt(endpoint: Endpoint) -> Embedded:
            url = endpoint.url + self._protocol.path
            data, received = await self._transport.post(url, body, headers)
            try:
                vectors, tokens = self._protocol.read(data, received, len(texts))
                self._check_length(vectors)
            except ValueError as error:
                text = f"{url} answered 200 without {len(texts)} vectors of one length ({error})"
                raise Fault("no-vectors", text) from error
            return Embedded(vectors, tokens, queue_s(received))

        batch, _, _ = await self._pool.run(call.key.episode, attempt, deadline_s=deadline_s)
        return batch

    def _check_length(self, vectors: Vectors) -> None:
        length = len(vectors[0])
        self._length = self._length or length
        if length != self._length:
            raise ValueError(f"vectors of different lengths: {self._length} before, {length} now")
