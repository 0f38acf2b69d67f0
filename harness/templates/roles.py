"""Which roles may speak when, which a template knows, and texts that imitate a change of role."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from harness.errors import HarnessError
from harness.types import ASKS, Message


class ConversationError(HarnessError):
    """The conversation does not have the shape a chat template can render."""


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
def has_function(source: str) -> bool:
    """Whether a template has a role for a function's result."""
    return _FUNCTION.search(source) is not None


def control_tokens(text: str, named: Sequence[str] = ()) -> list[str]:
    """The control tokens in a prompt, each once and in order; `named` are further ones to look for."""
    places = [(found.start(), found[0]) for found in _CONTROL.finditer(text)]
    places += [(text.index(token), token) for token in named if token in text]
    return list(dict.fromkeys(token for _, token in sorted(places)))


_CONTROL = re.compile(
    r"</?s>|<unk>|\[/?INST\]|<</?SYS>>|<\|(?:Human|Assistant|System|User|Bot|im_start|im_end)\|>"
    r"|<\|(?:system|user|assistant|begin_of_text|(?:start|end)_header_id|eot_id|endoftext)\|>"
    r"|<(?:bos|eos|(?:start|end)_of_turn)>|\u0d46|\u0d3f"
)


def sanitize(text: str) -> str:
    """Make control tokens in an environment's text harmless, keeping it readable.

    A space after the token's first character keeps the tokenizer from seeing it as special.
    Agent-FLAN's lone marks are replaced by U+FFFD.
    """
    return _CONTROL.sub(lambda m: "\ufffd" if len(m[0]) == 1 else m[0][0] + " " + m[0][1:], text)
