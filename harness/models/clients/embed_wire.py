"""The two embeddings protocols as bytes: OpenAI's `/v1/embeddings`, text-embeddings-inference's `/embed`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import GenericAlias
from typing import Any, Protocol, TypeVar, cast

from msgspec import Raw, Struct

from harness.models.api import Vectors
from harness.models.untrusted import ABSENT, Body, count, field, part, read

BATCH = 64
"""Most texts in a request."""

MOST_NUMBERS = 1 << 14
"""Most numbers in a vector; the largest models give 8,192."""

T = TypeVar("T")


class EmbeddingsProtocol(Protocol):
    """An embeddings protocol."""

    path: str
    most: int
    """Texts a request may hold."""

    def request(self, texts: Sequence[str]) -> dict[str, Any]:
        """Write a request's body."""
        ...

    def read(self, body: Body, headers: Mapping[str, str], texts: int) -> tuple[Vectors, int]:
        """Read the vectors of `texts` texts, in their order, and the number of tokens, 0 when it is not sent.

        Raises:
            ValueError: the body is anything else than one vector for each text, all of one length.
        """
        ...


class Tei:
    """text-embeddings-inference's own protocol.

    Texts that are too long are cut, as sentence-transformers does.
    """

    path = "/embed"

    def __init__(self, most: int = BATCH) -> None:
        self.most = most

    def request(self, texts: Sequence[str]) -> dict[str, Any]:
        """Write a request's body."""
        return {"inputs": list(texts), "truncate": True}

    def read(self, body: Body, headers: Mapping[str, str], texts: int) -> tuple[Vectors, int]:
        """The body is the list of vectors; the headers count."""
        return _vectors(_listed(body, Raw, texts)), count(headers.get("x-compute-tokens")) or 0


class _Response(Struct):
    data: Raw
    usage: Raw = ABSENT


class _Row(Struct):
    embedding: Raw
    index: Raw = ABSENT


class _Usage(Struct):
    prompt_tokens: Raw = ABSENT


class OpenAI:
    """OpenAI's protocol: vLLM, SGLang, llama.cpp, Ollama and OpenAI itself."""

    path = "/v1/embeddings"
    most = BATCH

    def __init__(self, model: str) -> None:
        self._model = model

    def request(self, texts: Sequence[str]) -> dict[str, Any]:
        """Write a request's body."""
        return {"model": self._model, "input": list(texts), "encoding_format": "float"}

    def read(self, body: Body, headers: Mapping[str, str], texts: int) -> tuple[Vectors, int]:
        """The vectors are in `data`, the place of each one's text in `index`."""
        del headers
        response = read(body, _Response)
        found = _vectors(_in_order(_listed(response.data, _Row, texts)))
        return found, count(field(part(response.usage, _Usage).prompt_tokens)) or 0


def _in_order(rows: Sequence[_Row]) -> list[Raw]:
    """Take the vectors in the order of their texts; rows without a place come in that order."""
    places = [count(field(row.index)) for row in rows]
    if all(place is None for place in places):
        return [row.embedding for row in rows]
    placed = dict(zip(places, rows, strict=True))
    if placed.keys() != set(range(len(rows))):
        raise ValueError("each `index` from 0 on must be there once")
    return [placed[place].embedding for place in range(len(rows))]


def _listed(body: Body, item: type[T], number: int) -> Sequence[T]:
    """Read a list of exactly `number` items; what is beyond them is refused before it is built."""
    return read(body, cast("type[tuple[T, ...]]", _exactly(item, number)))


@lru_cache(maxsize=256)
def _exactly(item: type[Any], number: int) -> GenericAlias:
    return GenericAlias(tuple, (item,) * number)


def _vectors(items: Sequence[Raw]) -> Vectors:
    return checked(tuple(map(_vector, items)))


def _vector(item: Raw) -> tuple[float, ...]:
    if (
        bytes(item).count(b",") >= MOST_NUMBERS
    ):  # counted before they are built, as a number takes many times its bytes
        raise ValueError(f"a vector has more than {MOST_NUMBERS:,} numbers")
    return read(item, tuple[float, ...])


def checked(vectors: Vectors) -> Vectors:
    """Pass on vectors of one length that hold finite numbers.

    Raises:
        ValueError: they are not that.
    """
    for index, vector in enumerate(vectors):
        if not vector or not all(map(math.isfinite, vector)):
            raise ValueError(f"vector {index} is empty or holds a number that is not finite")
        if len(vector) != len(vectors[0]):
            raise ValueError(f"vectors of different lengths: {len(vectors[0])}, {len(vector)}")
    return vectors
