"""One prompt and its answer, as the clients hand them to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from harness.models.api import Call
from harness.models.clients import wire
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.pool import Pool
from harness.types import Message, Reply

Check = Callable[[wire.Answer, str], None]
"""Looks at an answer and the URL it came from; raises `Fault` or `RequestRejected` when it is of no use."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is to be answered.

    Attributes:
        text: the rendered prompt (or the raw one) with the assistant's prefix.
        messages: the conversation, for endpoints that take only that.
    """

    text: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """A successful request: what came back, from where, at which attempt."""

    answer: wire.Answer
    endpoint: Endpoint
    tries: int
    seed: int | None = None
    """The seed that was sent, for servers that do not repeat it."""


class Generator(Protocol):
    """What ranking needs of a model's client."""

    name: str
    pool: Pool

    @property
    def methods(self) -> tuple[str, ...]:
        """Ways to rank choices, best first."""
        ...

    async def generate(
        self, call: Call, prompt: Prompt, extra: Mapping[str, Any], check: Check | None = None
    ) -> Result:
        """Send one prompt with the call's parameters, and `extra` ones over them."""
        ...

    def reply(self, result: Result, text: str, **more: Any) -> Reply:
        """Build a reply with the facts of the request."""
        ...
