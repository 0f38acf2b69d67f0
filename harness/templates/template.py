"""A chat template and how it writes a conversation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from harness.errors import DataError
from harness.templates.checkpoint import Checkpoint
from harness.templates.roles import ConversationError, check_alternation, control_tokens, has_function
from harness.templates.sandbox import render
from harness.types import Message

_HELLO, _BYE = Message("user", "Hello."), Message("user", "Bye.")
_MARK = "Be kind to strangers."
_TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {"name": "look", "description": "", "parameters": {"type": "object", "properties": {}}},
}


@dataclass(frozen=True, slots=True)
class Template:
    """A chat template.

    Attributes:
        id: its name; a variant that reproduces FastChat's empty-message quirk ends in `-upstream`.
        source: the Jinja text.
        system: system text used when the conversation brings none.
        strict: refuse conversations whose roles do not alternate.
        variables: further values the source may read, such as `bos_token`.
        tokens_known: whether the special tokens that `variables` lack are known not to exist.
        writes_bos: keep a BOS token at the beginning, which the server's tokenizer does not add.
    """

    id: str
    source: str
    system: str = ""
    quirks: bool = False
    strict: bool = True
    variables: tuple[tuple[str, str], ...] = ()
    tokens_known: bool = True
    writes_bos: bool = False

    @classmethod
    def of_checkpoint(cls, name: str, found: Checkpoint) -> Template:
        """The template that a model brings; it has its own rules about roles, so that none are checked."""
        return cls(
            name,
            found.source,
            strict=False,
            variables=found.tokens,
            tokens_known=found.tokens_known,
            writes_bos=found.writes_bos,
        )

    @property
    def sha256(self) -> str:
        """Hash of everything that decides the rendering, for the manifest."""
        parts = [self.source, self.system, str(self.quirks), json.dumps(self.variables)]
        parts += ["writes BOS"] if self.writes_bos else []
        parts += ["system text moved"] if self.moves_system else []
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

    @property
    def moves_system(self) -> bool:
        """Whether the template refuses or drops a system message, which then goes before the user's text."""
        return _manner(self).moves_system

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of a report has to know of this template."""
        moved = "takes no system message: its text stands in front of the first user message"
        dated = "writes the day of the request into the prompt"
        said = ((moved, self.moves_system), (dated, "strftime_now" in self.source))
        return tuple(text for text, holds in said if holds)

    def special_tokens(self, prompt: str) -> list[str]:
        """The special tokens in a prompt that this template wrote, each once and in order."""
        return control_tokens(prompt, [text for _, text in self.variables])

    def try_out(self) -> None:
        """Compile the template, and render what every task may send.

        Raises:
            DataError: it cannot be compiled, or cannot render a plain conversation.
        """
        manner = _manner(self)
        try:
            dropped = [talk for talk in _PLAIN if talk[-1].content not in _written(self, talk, manner)]
            why = "it leaves out what the user says" if dropped else ""
        except (ConversationError, DataError) as error:
            why = str(error)
        if not why:
            return
        fix = "correct it, or give the model's folder, whose files define its tokens"
        if _takes(self, _Manner(), tools=[_TOOL]):
            why = f"it needs tools, and no task sends any; without them: {why}"
            fix = "give the model's default template, or one that ships"
        raise DataError(f"chat template {self.id} cannot render a conversation ({why}): {fix}")

    def render(self, messages: Sequence[Message]) -> str:
        """Render a conversation up to and including the start of the assistant's turn.

        Raises:
            ConversationError: roles do not alternate, the last message is neither the user's nor a
                function's, a function speaks and the template has no such role, or the template fails.
        """
        if any(message.role == "function" for message in messages) and not has_function(self.source):
            raise ConversationError(
                f"template {self.id} has no role function, which this conversation needs; "
                "use teval-llama2 or a template of the model's own that has it"
            )
        if self.strict:
            check_alternation(messages)
        if messages and messages[0].role == "system" and self.moves_system:
            messages = _moved(messages)
        return _written(self, messages, _manner(self))


@dataclass(frozen=True, slots=True)
class _Manner:
    """How a template takes messages, as trying it showed.

    Attributes:
        parts: it takes a text only as a list of one part, as templates of models that also see pictures do.
        moves_system: it refuses or drops a system message.
    """

    parts: bool = False
    moves_system: bool = False


@lru_cache(maxsize=64)
def _manner(template: Template) -> _Manner:
    """Try a template with plain conversations and with a system message."""
    parts = not _takes(template, _Manner()) and _takes(template, _Manner(parts=True))
    manner = _Manner(parts)
    told = tuple((Message("system", _MARK), *talk) for talk in _PLAIN)
    refuses = _takes(template, manner) and not _takes(template, manner, told, _MARK)
    return replace(manner, moves_system=refuses)


_PLAIN = ((_HELLO,), (_HELLO, Message("assistant", "Good day."), _BYE))


def _takes(
    template: Template,
    manner: _Manner,
    talks: Sequence[Sequence[Message]] = _PLAIN,
    mark: str = "",
    tools: Sequence[Any] | None = None,
) -> bool:
    """Whether conversations render with the mark, or without one with their last message, in the prompt."""
    try:
        return all((mark or talk[-1].content) in _written(template, talk, manner, tools) for talk in talks)
    except (ConversationError, DataError):
        return False


def _written(
    template: Template, messages: Sequence[Message], manner: _Manner, tools: Sequence[Any] | None = None
) -> str:
    """Render as transformers does, but for the BOS token that servers add."""
    own = {"default_system": template.system, "quirks": template.quirks}  # of the shipped templates alone
    values: dict[str, Any] = dict(template.variables) | {
        "messages": [
            {"role": m.role, "content": [{"type": "text", "text": m.content}] if manner.parts else m.content}
            for m in messages
        ],
        "tools": tools,
        "documents": None,
        "add_generation_prompt": True,
        **{name: value for name, value in own.items() if value},
    }
    try:
        text = render(template.source, values, tokens_known=template.tokens_known)
    except (ConversationError, DataError):
        raise
    except Exception as error:  # Jinja's own errors, and whatever a template's expressions raise
        raise ConversationError(f"template {template.id}: {type(error).__name__}: {error}") from error
    if template.writes_bos:
        return text
    # TGI and /v1/completions always add BOS themselves; a literal one would double it.
    return text.removeprefix(dict(template.variables).get("bos_token", "<s>"))


def _moved(messages: Sequence[Message]) -> Sequence[Message]:
    """The conversation with the system text in front of the first user message, a blank line between."""
    system, turns = messages[0].content, list(messages[1:])
    first = next((i for i, message in enumerate(turns) if message.role == "user"), None)
    if first is None:
        raise ConversationError("a system text alone is no conversation")
    if system:
        turns[first] = replace(turns[first], content=f"{system}\n\n{turns[first].content}")
    return turns
