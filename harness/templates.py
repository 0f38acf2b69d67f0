"""Chat templates, rendered here and not by the server, exact to the codepoint."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from harness.errors import DataError, HarnessError, MissingPart, UsageError
from harness.types import ASKS, Message

LLAMA_SYSTEM = "You are a helpful, respectful and honest assistant."
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)

# id -> (file, system text used when the conversation has none)
_SHIPPED: Mapping[str, tuple[str, str]] = {
    "llama2-chat": ("llama2-chat", ""),
    "agentlm": ("llama2-chat", LLAMA_SYSTEM),
    "agentlm-nosys": ("llama2-chat", ""),
    "vicuna_v1.1": ("vicuna_v1.1", VICUNA_SYSTEM),
    "agent-flan": ("agent-flan", ""),
    "teval-llama2": ("teval-llama2", ""),
}
_WITH_UPSTREAM = ("llama2-chat", "vicuna_v1.1", "teval-llama2")
_UPSTREAM = "-upstream"


class ConversationError(HarnessError):
    """The conversation does not have the shape a chat template can render."""


@dataclass(frozen=True, slots=True)
class Template:
    """A chat template.

    Attributes:
        id: its name; a variant that reproduces FastChat's empty-message quirk ends in `-upstream`.
        source: the Jinja text.
        system: system text used when the conversation brings none.
        strict: refuse conversations whose roles do not alternate.
        variables: further values the source may read, such as `bos_token`.
    """

    id: str
    source: str
    system: str = ""
    quirks: bool = False
    strict: bool = True
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of everything that decides the rendering, for the manifest."""
        parts = [self.source, self.system, str(self.quirks), json.dumps(self.variables)]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

    def try_out(self) -> str:
        """Compile the template, and render what every task may send.

        Returns:
            Why it cannot render a system message, which not every task sends; empty when it can.

        Raises:
            DataError: it cannot be compiled, or cannot render a plain conversation.
        """
        hello, bye = Message("user", "Hello."), Message("user", "Bye.")
        try:
            self.render((hello,))
            self.render((hello, Message("assistant", "Hello."), bye))
        except Exception as error:  # Jinja's own errors, and whatever a template's expressions raise
            raise DataError(
                f"chat template {self.id} cannot render a conversation ({error}): correct it, or give the "
                "path of the tokenizer_config.json that it belongs to, which defines its tokens"
            ) from error
        try:
            self.render((Message("system", "Be kind."), hello))
        except Exception as error:
            return str(error)
        return ""

    def render(self, messages: Sequence[Message]) -> str:
        """Render a conversation up to and including the start of the assistant's turn.

        Raises:
            ConversationError: roles do not alternate, the last message is neither the user's nor a
                function's, or a function speaks and the template has no such role.
        """
        if any(message.role == "function" for message in messages) and not _has_function(self.source):
            raise ConversationError(
                f"template {self.id} has no role function, which this conversation needs; "
                "use teval-llama2 or a template of the model's own that has it"
            )
        if self.strict:
            check_alternation(messages)
        text = _compile(self.source).render(
            messages=[{"role": m.role, "content": m.content} for m in messages],
            default_system=self.system,
            quirks=self.quirks,
            add_generation_prompt=True,
            **dict(self.variables),
        )
        # TGI and /v1/completions always add BOS themselves; a literal one would double it.
        bos = dict(self.variables).get("bos_token", "<s>")
        return text.removeprefix(bos) if bos else text


def names() -> list[str]:
    """List the ids of the shipped templates, variants included."""
    variants = [name + _UPSTREAM for name, (file, _) in _SHIPPED.items() if file in _WITH_UPSTREAM]
    return sorted([*_SHIPPED, *variants])


@lru_cache(maxsize=64)
def template(name: str) -> Template:
    """Find a shipped template, or build one from a local `tokenizer_config.json` or `*.jinja` path.

    Raises:
        UsageError: no such template.
        MissingPart: the file is not there.
    """
    if name.endswith((".json", ".jinja")) or "/" in name:
        return from_file(Path(name))
    base = name.removesuffix(_UPSTREAM)
    if base not in _SHIPPED or (name != base and _SHIPPED[base][0] not in _WITH_UPSTREAM):
        raise UsageError(f"unknown chat template {name!r}; known: {', '.join(names())}")
    file, system = _SHIPPED[base]
    source = (files("harness") / "jinja" / f"{file}.jinja").read_text(encoding="utf-8")
    return Template(name, source, system, quirks=name != base)


def from_file(path: Path) -> Template:
    """Read a Jinja file, or the chat template of a Hugging Face `tokenizer_config.json`.

    Roles are not checked here: such a template brings its own rules.
    """
    if path.is_dir():
        path = path / "tokenizer_config.json"
    if not path.is_file():
        raise MissingPart(
            f"chat template {path} is not there; give the path of the model's tokenizer_config.json"
        )
    try:
        text = path.read_text(encoding="utf-8")
        found: Any = {} if path.suffix == ".jinja" else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"chat template {path} is not JSON or not readable, get it again: {error}") from error
    if path.suffix == ".jinja":
        return Template(str(path), text, strict=False)
    config = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    source: Any = config.get("chat_template")
    if isinstance(source, list):  # several named templates
        named = cast("list[dict[str, str]]", source)
        source = {item["name"]: item["template"] for item in named}.get("default")
    beside = path.with_name("chat_template.jinja")
    if source is None and beside.is_file():
        source = beside.read_text(encoding="utf-8")
    if not isinstance(source, str):
        raise DataError(f"{path} has no chat_template; name one of {', '.join(names())} instead")
    tokens = tuple(
        (key, _token(config.get(key))) for key in ("bos_token", "eos_token", "unk_token", "pad_token")
    )
    return Template(str(path), source, strict=False, variables=tokens)


def check_alternation(messages: Sequence[Message]) -> None:
    """Demand an optional system message, then user and assistant in turn, ending with the user.

    A function's result may stand wherever a user's turn may.
    Two turns of one role in a row are an error; the task has to merge them.
    """
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    if not turns or turns[-1].role not in ASKS:
        raise ConversationError("a conversation must end with a user's or a function's message")
    for index, message in enumerate(turns):
        want = ("assistant",) if index % 2 else ASKS
        if message.role not in want:
            raise ConversationError(f"message {index} is the {message.role}'s where the {want[0]}'s was due")


# A comparison with the role inside one Jinja tag; `tool_call["function"]` is a field of another thing.
_FUNCTION = re.compile(
    r"""role["'\])\s]{0,6}(?:[=!]=|(?:not\s+)?in\b)[^%}]*?(?<![\w\])]\[)["']function["']"""
)


@lru_cache(maxsize=64)
def _has_function(source: str) -> bool:
    return _FUNCTION.search(source) is not None


_CONTROL = re.compile(
    r"</?s>|<unk>|\[/?INST\]|<</?SYS>>|<\|(?:Human|Assistant|System|User|Bot|im_start|im_end)\|>|\u0d46|\u0d3f"
)


def sanitize(text: str) -> str:
    """Make control tokens in an environment's text harmless, keeping it readable.

    A space after the token's first character keeps the tokenizer from seeing it as special.
    Agent-FLAN's lone marks are replaced by U+FFFD.
    """
    return _CONTROL.sub(lambda m: "\ufffd" if len(m[0]) == 1 else m[0][0] + " " + m[0][1:], text)


def _token(value: Any) -> str:
    if isinstance(value, dict):  # an AddedToken written out
        value = cast("dict[str, Any]", value).get("content")
    return value if isinstance(value, str) else ""


def _refuse(message: str) -> None:
    raise ConversationError(message)


def _generation() -> Any:
    """A Jinja extension for `{% generation %}`, which marks what a model said; the body is shown."""
    from jinja2.ext import Extension
    from jinja2.parser import Parser

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - Jinja declares it so

        def parse(self, parser: Parser) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    return Generation


@lru_cache(maxsize=64)
def _compile(source: str) -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # The settings under which Hugging Face compiles chat templates, so that theirs render alike.
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", _generation()],
    )
    compiled = environment.from_string(source, globals={"raise_exception": _refuse})
    compiled.globals = dict(compiled.globals)  # Jinja's chain of maps is copied with every rendering, slowly
    return compiled
