"""The protocol of tools: from an input to evidence with its origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from harness.types import Chat
from tasks.rewoo.action import NOTHING


class ToolError(Exception):
    """The tool fails on this input, again and again; upstream's episode ends."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A tool's answer.

    Attributes:
        source: `live`, `replay`, `offline` ... or the name of the stand-in.
        missed: the snapshot has no answer to this input.
    """

    text: str
    source: str
    missed: bool = False


class Tool(Protocol):
    """One tool of a run; shared by all episodes, so it keeps no state between calls."""

    @property
    def fallback(self) -> str:
        """Name of the stand-in, empty for the tool itself; a run with any stand-in is not comparable."""
        ...

    async def use(self, key: str, text: str, chat: Chat | None) -> Evidence:
        """Answer an input; `key` is unique in the episode.

        Args:
            key: names the call to an auxiliary model.
            text: the input.
            chat: the episode's `tool_llm`, None when it is not bound.

        Raises:
            ToolError: the input is at fault.
            InfraError: the service is.
        """
        ...


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The stand-in for a tool that is not available: always gives the same text."""

    fallback: str
    text: str = NOTHING

    async def use(self, key: str, text: str, chat: Chat | None) -> Evidence:
        del key, text, chat
        return Evidence(self.text, self.fallback)


def askable(text: str, longest: int = 4000) -> str:
    """Refuse an input that no service accepts.

    Raises:
        ToolError: blank, too long, or not encodable.
    """
    if not text.strip():
        raise ToolError("the input is blank")
    if len(text) > longest:
        raise ToolError(f"the input has {len(text)} characters, {longest} are allowed")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ToolError("the input is not valid Unicode") from error
    return text
