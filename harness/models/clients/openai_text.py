"""Reads what a model wrote out of a choice of OpenAI's protocol: text, thought, refusal, calls of tools."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Raw, Struct

from harness.models.clients.meaning import REFUSAL, TOOL_CALL
from harness.models.untrusted import ABSENT, KEPT, part, read, string


class Choice(Struct):
    """The first of a completion's choices, as sent."""

    text: Raw = ABSENT
    message: Raw = ABSENT
    delta: Raw = ABSENT
    finish_reason: Raw = ABSENT
    logprobs: Raw = ABSENT
    error: Raw = ABSENT


class _Message(Struct):
    content: Raw = ABSENT
    reasoning_content: Raw = ABSENT
    reasoning: Raw = ABSENT
    refusal: Raw = ABSENT
    tool_calls: Raw = ABSENT
    function_call: Raw = ABSENT


class _Part(Struct):
    text: Raw = ABSENT
    thinking: Raw = ABSENT
    refusal: Raw = ABSENT


@dataclass(frozen=True, slots=True)
class Said:
    """What a message holds, or a piece of one that is streamed.

    Attributes:
        text: of a completion, or a message's content.
        thought: what the server keeps apart as reasoning.
        refusal: the words of a refusal that the server marked as one.
        notes: `refusal`, `tool call`.
    """

    text: str = ""
    thought: str = ""
    refusal: str = ""
    notes: tuple[str, ...] = ()


def written(choice: Choice) -> Said | None:
    """What a choice holds; None when it holds nothing that a model may have written."""
    message = part(choice.message if len(choice.message) else choice.delta, _Message)
    content = _content(choice.text if len(choice.text) else message.content)
    thought = string(message.reasoning_content) or string(message.reasoning) or ""
    refusal = string(message.refusal) or ""
    called = is_filled(message.tool_calls) or is_filled(message.function_call)
    if content is None and not (thought or refusal or called):
        return None
    content = content or Said()
    refused = content.refusal + refusal
    notes = (*((REFUSAL,) if refused else ()), *((TOOL_CALL,) if called else ()))
    return Said(content.text, content.thought + thought, refused, notes)


def _content(raw: Raw) -> Said | None:
    """A text, or a list of parts whose texts are joined; None for anything else."""
    if (text := string(raw)) is not None:
        return Said(text)
    try:
        found = read(raw, list[_Part]) if 0 < len(raw) <= KEPT else None
    except ValueError:
        return None
    if found is None:
        return None
    return Said(
        "".join(string(one.text) or "" for one in found),
        "".join(_thinking(one.thinking) for one in found),
        "".join(string(one.refusal) or "" for one in found),
    )


def _thinking(raw: Raw) -> str:
    """A part's thought: a text, or a list of parts in its turn."""
    if (text := string(raw)) is not None:
        return text
    try:
        return "".join(string(one.text) or "" for one in read(raw, list[_Part])) if len(raw) else ""
    except ValueError:
        return ""


def is_filled(raw: Raw) -> bool:
    """Whether a field holds something."""
    return bytes(raw) not in (b"", b"null", b"[]")
