"""Writes down the request that a model would be sent, in place of sending it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from harness.errors import HarnessError
from harness.models.api import Model
from harness.models.clients.answer import Answer
from harness.models.clients.base import BaseModel
from harness.models.clients.stream import Follow
from harness.models.clients.transport import Transport
from harness.models.untrusted import Body


class NotSent(HarnessError):
    """A request was written down, so that there is no answer to it."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """A request as it would be posted.

    Attributes:
        key_variable: environment variable with the API key, which goes with it; empty when there is none.
    """

    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    key_variable: str = ""

    @property
    def prompt(self) -> str:
        """The prompt as text; of a conversation that the server renders, its messages by role."""
        if "messages" in self.body:
            return "\n\n".join(f"{one['role']}: {one['content']}" for one in self.body["messages"])
        return str(self.body.get("inputs", self.body.get("prompt", "")))


class Holding(Transport):
    """Keeps the first request for an answer back; what servers are asked of themselves goes through.

    Attributes:
        kept: that request, once there was one.
    """

    def __init__(self, through: Transport, key_variable: str) -> None:
        self._through, self._key_variable = through, key_variable
        self.kept: Unsent | None = None

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, max_new_tokens: int = 0
    ) -> tuple[Body, Mapping[str, str]]:
        if url.endswith("tokenize") or "X-Harness-Role" in headers:
            return await self._through.post(url, body, headers, max_new_tokens=max_new_tokens)
        self._keep(url, body, headers)

    async def get(self, url: str, **how: Any) -> tuple[int, bytes]:
        return await self._through.get(url, **how)

    async def stream(
        self, url: str, body: bytes, headers: Mapping[str, str], follow: Follow, *, max_new_tokens: int
    ) -> Answer:
        del follow, max_new_tokens
        self._keep(url, body, headers)

    async def close(self) -> None:
        await self._through.close()

    def _keep(self, url: str, body: bytes, headers: Mapping[str, str]) -> NoReturn:
        self.kept = self.kept or Unsent(url, dict(headers), json.loads(body), self._key_variable)
        raise NotSent(f"a request to {url} was written down")


def hold(model: Model) -> Holding:
    """Let a model's requests be written down from now on.

    Raises:
        TypeError: it is no model behind an endpoint.
    """
    if not isinstance(model, BaseModel):
        raise TypeError(f"{model.name} is not behind an endpoint")
    holding = Holding(model.transport, model.entry.api_key_env)
    model.transport = holding
    return holding
