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
from harness.templates.roles import ConversationError, check_alternation, has_function
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
        return _refuses_system(self)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of a report has to know of this template."""
        moved = "takes no system message: its text stands in front of the first user message"
        dated = "writes the day of the request into the prompt"
        said = ((moved, self.moves_system), (dated, "strftime_now" in self.source))
        return tuple(text for text, holds in said if holds)

    def try_out(self) -> None:
        """Compile the template, and render what every task may send.

        Raises:
            DataError: it cannot be compiled, or cannot render a plain conversation.
        """
        try:
            for talk in _PLAIN:
                self.render(talk)
        except Exception as error:
            why = _why(self, error)
            raise DataError(f"chat template {self.id} cannot render a conversation ({why}") from error

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
        return _rendered(self, messages)


_PLAIN = ((_HELLO,), (_HELLO, Message("assistant", "Hello."), _BYE))


def _rendered(template: Template, messages: Sequence[Message], tools: Sequence[Any] | None = None) -> str:
    """Render as transformers does, without the BOS token."""
    own = {"default_system": template.system, "quirks": template.quirks}  # of the shipped templates alone
    values: dict[str, Any] = dict(template.variables) | {
        "messages": [{"role": m.role, "content": m.content} for m in messages],
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


@lru_cache(maxsize=64)
def _refuses_system(template: Template) -> bool:
    """Whether plain conversations render, and not with a system message, or without its text."""
    try:
        for talk in _PLAIN:
            _rendered(template, talk)
    except (ConversationError, DataError):
        return False  # it renders nothing: `try_out` says so
    try:
        told = [_rendered(template, (Message("system", _MARK), *talk)) for talk in _PLAIN]
    except ConversationError:
        return True
    return any(_MARK not in text for text in told)


def _why(template: Template, error: Exception) -> str:
    """What keeps a template from rendering, and what to do; the closing bracket stands between the two."""
    try:
        _rendered(template, (_HELLO,), [_TOOL])
    except Exception:  # not for want of tools
        return f"{error}): correct it, or give the model's folder, whose files define its tokens"
    return (
        f"it needs tools, and no task sends any; without them {error}): "
        "give the model's default template, or one that ships"
    )
