"""Sorts failures of requests: to be retried elsewhere, the model's own, or final."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.errors import ContextOverflow, RequestRejected
from harness.models import outside
from harness.models.untrusted import decode, record, rows, short

IN_A_ROW = 5
_CHARACTERS, _SENTENCE, _TYPE = 700, 2000, 60
"""Characters kept of a failure's text, searched in a server's message, taken as the name of its reason."""

_GENERATION_IN_A_ROW = 2

# What TGI's error_type stands for when it arrives inside a 200 (streams do that).
_STATUS_OF_TYPE: Mapping[str, int] = {
    "validation": 422,
    "template_error": 422,
    "missing_template_variable": 422,
    "tool_error": 422,
    "generation": 424,
    "overloaded": 429,
    "incomplete_generation": 500,
    "incomplete_generation_stream": 500,
    "stream_serialization_error": 500,
    "healthcheck": 503,
}

# (limit, given) by server; `given` may be the sum of two groups. Longer numbers are no token counts.
_LIMIT, _A, _B = (rf"(?P<{name}>\d{{1,9}})" for name in ("limit", "a", "b"))
_LENGTH = (
    re.compile(rf"must be <= {_LIMIT}\. Given: {_A} \D*?{_B}"),
    re.compile(rf"must have less than {_LIMIT} tokens\. Given: {_A}"),
    re.compile(rf"maximum context length (?:is|of) {_LIMIT} tokens\D+{_A} (?:input )?tokens"),
    re.compile(rf"maximum context length (?:is|of) {_LIMIT} tokens"),
    re.compile(rf"input \({_A} tokens\) is longer than the model's context length \({_LIMIT}"),
    re.compile(rf"request \({_A} tokens\) exceeds the available context size \({_LIMIT}"),
    re.compile(r"exceeds? the (?:available|maximum) context size|context_length_exceeded|exceed_context"),
)


class Refused(RequestRejected):
    """A refusal, with the reason that the server gave.

    Attributes:
        status: the HTTP status.
        error_type: the server's own name for the reason.
    """

    def __init__(self, message: str, *, status: int, error_type: str) -> None:
        super().__init__(outside.line(message, _CHARACTERS))
        self.status = status
        self.error_type = error_type


class Fault(Exception):
    """One attempt failed in a way another may not.

    Attributes:
        kind: short name for logs and counters.
        ejects: counts towards taking the endpoint out of the pool.
        in_a_row: attempts one request may lose to this at one endpoint; None for any number.
        fix: what to do about it, which stands at the end of the message; empty when that is not known.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        fix: str = "",
        ejects: bool = True,
        in_a_row: int | None = IN_A_ROW,
    ) -> None:
        super().__init__(outside.line(f"{message}: {fix}" if fix else message, _CHARACTERS))
        self.kind = kind
        self.fix = fix
        self.ejects = ejects
        self.in_a_row = in_a_row


def classify(status: int, body: bytes, *, where: str = "") -> Exception:
    """Turn a response that is not a success into the exception to raise."""
    message, error_type = describe(body)
    return from_error(status, message, error_type, where=where)


def from_error(status: int, message: str, error_type: str, *, where: str = "") -> Exception:
    """Turn a status and the message in the body into the exception to raise.

    A 200 (an error inside a stream) takes its status from `error_type`.
    """
    if status == 200:
        status = _STATUS_OF_TYPE.get(error_type, 500)
    text = f"{where} answered {status}{f' ({error_type})' if error_type else ''}: {message}".strip()
    if status == 429:
        return Fault("overloaded", text, ejects=False, in_a_row=None)
    if status == 424:
        return Fault("generation", text, ejects=False, in_a_row=_GENERATION_IN_A_ROW)
    if status == 408 or status >= 500 or status < 300:
        return Fault(error_type if error_type in _STATUS_OF_TYPE else str(status), text)
    if (overflow := too_long(message, error_type)) is not None:
        return overflow
    if status == 413:
        return ContextOverflow(outside.line(text, _CHARACTERS))
    return Refused(text, status=status, error_type=error_type)


def too_long(message: str, error_type: str = "") -> ContextOverflow | None:
    """Recognise the sentences in which servers say that a prompt does not fit."""
    for pattern in _LENGTH:
        if match := pattern.search(f"{message[:_SENTENCE]} {error_type}"):
            groups = match.groupdict()
            given = int(groups.get("a") or 0) + int(groups.get("b") or 0)
            limit = int(groups.get("limit") or 0)
            text = outside.line(f"the prompt does not fit: {message}", 300)
            return ContextOverflow(text, limit=limit, given=given)
    return None


def describe(body: bytes) -> tuple[str, str]:
    """Read message and type from an error body: TGI's, OpenAI's, or whatever text a proxy wrote."""
    plain = body[:_SENTENCE].decode("utf-8", "replace")
    try:
        data = decode(body)
    except ValueError:
        return plain, ""
    if listed := rows(data):
        data = listed[0]
    told = record(data)
    inner = record(told.get("error")) or ({} if "error" in told else told)  # OpenAI's, or vLLM's bare one
    if inner:
        kind = inner["code"] if isinstance(inner.get("code"), str) else inner.get("type")
        return _first_text(inner.get("message"), inner.get("detail"), plain), short(kind, _TYPE)
    return _first_text(told.get("error"), plain), short(told.get("error_type"), _TYPE)


def _first_text(*values: object) -> str:
    return next((value[:_SENTENCE] for value in values if isinstance(value, str)), "")
