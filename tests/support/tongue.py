"""A model without a server."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from harness.models.api import Call
from harness.types import Message, Reply


@dataclass
class ScriptedModel:
    """A model in this process whose replies are a function of the call, which may have to be awaited."""

    answer: Callable[[Call], str | Awaitable[str]]
    calls: list[Call] = field(default_factory=list)
    name: str = "tongue"

    def render(self, messages: Sequence[Message], suite: str = "", task: str = "") -> str:
        return "\n".join(f"{message.role}: {message.content}" for message in messages)

    async def complete(self, call: Call) -> Reply:
        self.calls.append(call)
        said = self.answer(call)
        text = await said if inspect.isawaitable(said) else said
        choices = call.ask.choices
        choice = (choices.index(text) if text in choices else 0) if choices else None
        return Reply(text if choice is None else choices[choice], choice=choice)
