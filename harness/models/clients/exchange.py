"""What ranking choices needs of a protocol's client: a prompt goes in, an answer comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from harness.models.api import Call
from harness.models.clients.answer import Answer
from harness.models.pool.pool import Pool
from harness.types import Ask, Message, Reply

Check = Callable[[Answer, str], None]
"""Checks an answer from a URL; raises `Fault` or `RequestRejected` when it cannot be used."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is to be answered.

    Attributes:
        text: the rendered prompt (or the raw one) with the assistant's prefix.
        messages: the conversation, for endpoints that take only that.
        opened: whether the template opened a thought at its end; None where the server renders.
        quiet: leave the task's stop strings out: the server would look for them in the thought as well.
    """

    text: str
    messages: tuple[Message, ...]
    opened: bool | None = False
    quiet: bool = False

    def asked(self, ask: Ask) -> Ask:
        """The `Ask` as the server gets it."""
        return replace(ask, stop=()) if self.quiet else ask


class Generator(Protocol):
    """What ranking needs of a model's client."""

    name: str
    pool: Pool

    @property
    def methods(self) -> tuple[str, ...]:
        """Ways to rank choices, best first."""
        ...

    @property
    def most(self) -> int:
        """Alternatives to a token that can be had when the usual number lacks a choice; 0 when no more."""
        ...

    async def generate(
        self, call: Call, prompt: Prompt, extra: Mapping[str, Any], check: Check | None = None
    ) -> Answer:
        """Send one prompt with the call's parameters, and `extra` ones over them."""
        ...

    def reply(self, answer: Answer, text: str, **more: Any) -> Reply:
        """Build a reply from an answer; `more` sets further fields."""
        ...
