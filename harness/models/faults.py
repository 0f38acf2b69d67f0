"""Which answer of a server is which failure: retry elsewhere, the model's own, or final."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.errors import ContextOverflow, RequestRejected
from harness.models.records import decode, record, rows

IN_A_ROW = 5
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

# (limit, given) by server; `given` may be the sum of two groups.
_LENGTH = (
    re.compile(r"must be <= (?P<limit>\d+)\. Given: (?P<a>\d+) \D*?(?P<b>\d+)"),
    re.compile(r"must have less than (?P<limit>\d+) tokens\. Given: (?P<a>\d+)"),
    re.compile(r"maximum context length (?:is|of) (?P<limit>\d+) tokens\D+(?P<a>\d+) (?:input )?tokens"),
    re.compile(r"maximum context length (?:is|of) (?P<limit>\d+) tokens"),
    re.compile(r"input \((?P<a>\d+) tokens\) is longer than the model's context length \((?P<limit>\d+)"),
    re.compile(r"request \((?P<a>\d+) tokens\) exceeds the available context size \((?P<limit>\d+)"),
    re.compile(r"exceeds? the (?:available|maximum) context size|context_length_exceeded|exceed_context"),
)


class Refused(RequestRejected):
    """A refusal with what the server said of its reason.

    Attributes:
        status: the HTTP status.
        error_type: the server's own name for the reason.
    """

    def __init__(self, message: str, *, status: int, error_type: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type


class Fault(Exception):
    """One attempt failed in a way another may not.

    Attributes:
        kind: short name for logs and counters.
        ejects: counts towards taking the endpoint out of the pool.
        in_a_row: attempts one request may lose to this at one endpoint; None for any number.
    """

    def __init__(
        self, kind: str, message: str, *, ejects: bool = True, in_a_row: int | None = IN_A_ROW
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.ejects = ejects
        self.in_a_row = in_a_row


def classify(status: int, body: bytes, *, where: str = "") -> Exception:
    """Turn a response that is not a success into the exception to raise."""
    message, error_type = describe(body)
    return from_error(status, message, error_type, where=where)


def from_error(status: int, message: str, error_type: str, *, where: str = "") -> Exception:
    """Turn a status and what the body said into the exception to raise.

    A 200 (an error inside a stream) takes its status from `error_type`.
    """
    if status == 200:
        status = _STATUS_OF_TYPE.get(error_type, 500)
    text = f"{where} answered {status}{f' ({error_type})' if error_type else ''}: {message[:500]}".strip()
    if status == 429:
        return Fault("overloaded", text, ejects=False, in_a_row=None)
    if status == 424:
        return Fault("generation", text, ejects=False, in_a_row=_GENERATION_IN_A_ROW)
    if status == 408 or status >= 500:
        return Fault(error_type or str(status), text)
    if (overflow := too_long(message, error_type)) is not None:
        return overflow
    if status == 413:
        return ContextOverflow(text)
    return Refused(text, status=status, error_type=error_type)


def too_long(message: str, error_type: str = "") -> ContextOverflow | None:
    """Recognise the sentences in which servers say that a prompt does not fit."""
    for pattern in _LENGTH:
        if match := pattern.search(f"{message} {error_type}"):
            groups = match.groupdict()
            given = int(groups.get("a") or 0) + int(groups.get("b") or 0)
            limit = int(groups.get("limit") or 0)
            return ContextOverflow(f"the prompt does not fit: {message[:300]}", limit=limit, given=given)
    return None


def describe(body: bytes) -> tuple[str, str]:
    """Read message and type from an error body: TGI's, OpenAI's, or whatever text a proxy wrote."""
    try:
        data = decode(body)
    except ValueError:
        return " ".join(body[:2000].decode("utf-8", "replace").split()), ""
    if listed := rows(data):
        data = listed[0]
    told = record(data)
    inner = record(told.get("error")) or ({} if "error" in told else told)  # OpenAI's, or vLLM's bare one
    if inner:
        code = inner.get("code")
        kind = code if isinstance(code, str) else inner.get("type")
        return str(inner.get("message") or inner.get("detail") or inner), str(kind or "")
    return str(told.get("error") or data)[:2000], str(told.get("error_type") or "")
