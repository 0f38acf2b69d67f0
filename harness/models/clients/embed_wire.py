"""Embeddings protocols as bytes: OpenAI's `/v1/embeddings` and text-embeddings-inference's `/embed`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from harness.models.untrusted import Body, decode, record, rows

BATCH = 64
"""Most texts in a request."""

LONGEST = 16_384
"""Most numbers in a vector; the longest known have 8,192."""

_SPARE = 1_000
"""Lists and commas that an answer may hold beside its vectors."""


def check_size(body: bytes | bytearray, texts: int) -> None:
    """Refuse a body with more lists or values than vectors of so many texts have, before it is decoded.

    Decoded, a list of nothing takes thirty times its two bytes.

    Raises:
        ValueError: it has more.
    """
    lists = max(body.count(b"["), body.count(b"{"))
    if lists > 2 * texts + _SPARE or body.count(b",") > texts * LONGEST + _SPARE:
        raise ValueError(f"more lists or numbers than vectors of {texts} texts have")


class Speech(Protocol):
    """An embeddings protocol."""

    path: str
    most: int
    """Texts a request may hold."""

    def request(self, texts: Sequence[str]) -> dict[str, Any]:
        """Write a request's body."""
        ...

    def read(self, body: Body, headers: Mapping[str, str]) -> tuple[Any, int]:
        """Take vectors, not yet looked at, and the number of tokens out of an answer.

        Raises:
            ValueError: it is no answer of this protocol.
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

    def read(self, body: Body, headers: Mapping[str, str]) -> tuple[Any, int]:
        """The body is the list of vectors; the headers count."""
        return decode(body), whole(headers.get("x-compute-tokens"))


class OpenAI:
    """OpenAI's protocol: vLLM, SGLang, llama.cpp, Ollama and OpenAI itself."""

    path = "/v1/embeddings"
    most = BATCH

    def __init__(self, model: str) -> None:
        self._model = model

    def request(self, texts: Sequence[str]) -> dict[str, Any]:
        """Write a request's body."""
        return {"model": self._model, "input": list(texts), "encoding_format": "float"}

    def read(self, body: Body, headers: Mapping[str, str]) -> tuple[Any, int]:
        """The vectors stand in `data` with the place of their text in `index`."""
        del headers
        told = decode(body)
        data = [record(row) for row in rows(record(told).get("data"))]
        places = [row.get("index") for row in data]
        if all(isinstance(place, int) for place in places):
            data.sort(key=lambda row: row["index"])
        usage = record(record(told).get("usage"))
        return [row.get("embedding") for row in data], whole(usage.get("prompt_tokens"))


def whole(value: Any) -> int:
    """Read a count a server may have sent as text; 0 when it is none."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    return int(found) if 0 < found < 1 << 31 else 0
