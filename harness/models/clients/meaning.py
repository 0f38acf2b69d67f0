"""What an answer means that is none: the model's own, infrastructure, or a limit.

The one place for it, whichever protocol the server speaks; docs/protocols.md has the same as a table.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Raw

from harness.errors import RequestRejected
from harness.models import outside
from harness.models.pool.faults import Fault, describe, from_error, too_long
from harness.models.untrusted import count, decode, record

REFUSAL, TOOL_CALL = "refusal", "tool call"
"""Notes on a reply: the server marked it as a refusal; it holds a call of a tool, though none was offered."""

_ERROR = 64 << 10
_FINISH: Mapping[str, str] = {
    "stop": "eos_token",
    "eos": "eos_token",
    "max_tokens": "length",
    "model_length": "length",
}
"""Other servers' names for TGI's reasons."""

_BROKEN_OFF = frozenset(
    {"abort", "aborted", "cancelled", "canceled", "error", "engine_error", "failed", "timeout"}
    | {"insufficient_system_resource"}
)
_WITHHELD = frozenset({"content_filter", "safety"})
_TOOLS = frozenset({"tool_calls", "function_call"})

_STATUS: Mapping[str, int] = {
    "invalid_request_error": 400,
    "BadRequestError": 400,
    "content_filter": 400,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
}
"""What an error's type stands for where it comes inside a 200, beside TGI's types."""


def ending(finish: str, *, where: str = "") -> tuple[str, tuple[str, ...]]:
    """What a server gives as the reason why a generation ended: TGI's name for it, and notes on the reply.

    Raises:
        Fault: the server broke the generation off; another attempt may succeed.
        RequestRejected: the server keeps back what the model wrote; so would every attempt.
    """
    if finish in _BROKEN_OFF:
        raise Fault("broken-off", f"{where} broke the generation off (finish_reason {finish})")
    if finish in _WITHHELD:
        raise RequestRejected(
            f"{where} withholds the reply (finish_reason {finish}), so it is not the model's: "
            "switch the server's filter off"
        )
    return _FINISH.get(finish, finish), (TOOL_CALL,) if finish in _TOOLS else ()


def raise_error(error: Raw, kind: str = "", *, where: str = "") -> None:
    """Raise what an `error` inside a 200 stands for, wherever it was found; nothing when there is none.

    Args:
        error: a text, or an object with message, type and code.
        kind: the error's type where it stands beside it.
        where: URL that answered.

    Raises:
        ContextOverflow: the prompt does not fit.
        Fault: a failure that may pass.
        RequestRejected: a refusal.
    """
    sent = bytes(error)
    if sent in (b"", b"null"):
        return
    message, named = describe(b'{"error": ' + sent[:_ERROR] + b"}")
    raise failure(message, kind or named, code(sent), where=where)


def failure(message: str, kind: str, status: int | None = None, *, where: str = "") -> Exception:
    """What a server's words about a failure inside a 200 stand for."""
    if (overflow := too_long(message, kind)) is not None:
        return overflow
    return from_error(status or _STATUS.get(kind, 200), outside.text(message), kind, where=where)


def code(sent: bytes) -> int | None:
    """The HTTP status that an error object names as its code; None when it names none."""
    try:
        told = record(decode(sent[:_ERROR]))
    except ValueError:
        return None
    status = count(told.get("code"))
    return status if status is not None and 400 <= status < 600 else None
