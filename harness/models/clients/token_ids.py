"""A server's own tokenizer, over the paths that each kind of server has for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.errors import RequestRejected
from harness.models import outside
from harness.models.clients.transport import Transport
from harness.models.pool.faults import Fault
from harness.models.untrusted import KEPT, Body, Token, count, decode, read, record, short

PREFIX = "token_id:"
"""How vLLM writes a token by its id."""


@dataclass(frozen=True, slots=True)
class _Paths:
    """Where a server tokenizes, and the names of the fields."""

    split: str
    text: str
    join: str
    joined: str
    more: Mapping[str, Any]


_HF = _Paths("/tokenize", "prompt", "/detokenize", "prompt", {"add_special_tokens": True})
_PATHS: Mapping[str, _Paths] = {
    "vllm": _HF,
    "sglang": _Paths("/tokenize", "prompt", "/detokenize", "text", {"add_special_tokens": True}),
    "llama.cpp": _Paths(
        "/tokenize", "content", "/detokenize", "content", {"add_special": True, "parse_special": True}
    ),
    "llama-cpp-python": _Paths("/extras/tokenize", "input", "/extras/detokenize", "text", {}),
}


def token_id(text: str) -> int | None:
    """Read `token_id:315`; None for a token's own text."""
    return count(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else None


class TokenIds:
    """Turns texts into ids and ids into texts at one endpoint; what was asked once is kept.

    Args:
        url: of the endpoint.
        software: its kind, a key of `neutral.KINDS`.
        model: the name of the model in requests.
    """

    def __init__(self, transport: Transport, url: str, software: str, model: str) -> None:
        self._transport, self._url, self._model = transport, url, model
        self._paths = _PATHS.get(software)
        self._texts: dict[int, str] = {}

    async def ids(self, text: str) -> list[int] | None:
        """Ids of a prompt's tokens, with those that the server adds; None when it cannot tell."""
        if self._paths is None:
            return None
        sent = {self._paths.text: outside.paired(text), **self._paths.more}
        try:
            told = read(await self._post(self._paths.split, sent), dict[str, msgspec.Raw])
            found = read(told["tokens"], list[int]) if len(told["tokens"]) <= KEPT else []
        except (Fault, RequestRejected, ValueError, KeyError):
            return None
        return found or None

    async def spelt(self, tokens: Sequence[Token]) -> list[Token]:
        """Give tokens that a server named by id the text that each adds to a prompt.

        A decoder drops the space of a first token, so each is decoded behind another one.

        Raises:
            Fault: the server does not answer.
            RequestRejected: it has no such path, or does not decode these.
        """
        ids = [one.id for one in tokens if one.id is not None and token_id(one.text) is not None]
        if missing := [one for one in ids if one not in self._texts]:
            before, start = await self._first(ids)
            for one in missing:
                text = await self._text([before, one])
                self._texts[one] = text[len(start) :] if text.startswith(start) else ""
        return [
            msgspec.structs.replace(one, text=self._texts[one.id]) if one.id in self._texts else one
            for one in tokens
        ]

    async def _first(self, ids: Sequence[int]) -> tuple[int, str]:
        """A token that decodes to more than a space, behind which the others are decoded."""
        for one in ids:
            if (text := await self._text([one])).strip():
                return one, text
        raise RequestRejected(f"{self._url} decodes none of its own tokens")

    async def _text(self, ids: Sequence[int]) -> str:
        if self._paths is None:
            raise RequestRejected(f"{self._url} names tokens by id and has no path that decodes them")
        try:
            told = record(decode(await self._post(self._paths.join, {"tokens": list(ids)})))
        except ValueError as error:
            raise RequestRejected(f"{self._url} answers {self._paths.join} without JSON") from error
        found = told.get(self._paths.joined, told.get("prompt", told.get("text")))
        if not isinstance(found, str):
            raise RequestRejected(f"{self._url} answers {self._paths.join} without a text")
        return short(found, 400)

    async def _post(self, path: str, sent: Mapping[str, Any]) -> Body:
        body = msgspec.json.encode({"model": self._model, **sent})
        return (await self._transport.post(self._url + path, body, {}))[0]
