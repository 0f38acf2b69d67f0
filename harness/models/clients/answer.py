"""Reads TGI's answers, without trusting them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Raw, Struct

from harness.models import outside
from harness.models.clients.meaning import ending, raise_error
from harness.models.pool.faults import Fault
from harness.models.untrusted import (
    ABSENT,
    KEPT,
    Body,
    Token,
    count,
    field,
    part,
    read,
    short,
    string,
    tokens,
)  # fmt: skip

SYSTEM = "system_fingerprint "
"""How a reply's note begins that names the system behind an OpenAI-compatible server."""

UNCUT = "truncate not sent"
"""A reply's note: its prompt was longer than the task lets the server keep, and the server did not cut it."""

_SEEDS = 1 << 64


class Answer(Struct):
    """What one successful request brought back; what the server does not tell is 0, empty or None.

    Attributes:
        queue_s: seconds that the request queued in the server.
        top_tokens: alternatives to the first generated token.
        prefill: the prompt's tokens.
        detailed: whether the server sent details.
        system: the `system_fingerprint` of an OpenAI-compatible server.
        uncut: the prompt was longer than was asked to be kept of it.
        endpoint: URL of the endpoint that answered.
        attempts: attempts the request took.
        thought: what the server keeps apart from the text as the model's reasoning.
        notes: what a reader of the number must know.
    """

    text: str
    finish_reason: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0
    seed: int | None = None
    queue_s: float | None = None
    top_tokens: Sequence[Token] = ()
    prefill: Sequence[Token] = ()
    detailed: bool = True
    system: str = ""
    uncut: bool = False
    endpoint: str = ""
    attempts: int = 1
    thought: str = ""
    notes: tuple[str, ...] = ()


class Details(Struct):
    """The details of an answer, each field as sent."""

    finish_reason: Raw = ABSENT
    generated_tokens: Raw = ABSENT
    input_length: Raw = ABSENT
    seed: Raw = ABSENT
    prefill: Raw = ABSENT
    top_tokens: Raw = ABSENT


class Response(Struct):
    """An answer of /generate or an event of /generate_stream: the fields that are read, each as sent."""

    generated_text: Raw = ABSENT
    details: Raw = ABSENT
    token: Raw = ABSENT
    top_tokens: Raw = ABSENT
    error: Raw = ABSENT
    error_type: Raw = ABSENT


def read_generate(body: Body, headers: Mapping[str, str], *, where: str = "") -> Answer:
    """Read the answer of /generate, or of / where it is a list of one.

    Raises:
        Fault: a 200 that is no answer: a proxy's page, or an object without text.
    """
    try:
        response = read(_only(body), Response)
    except ValueError as error:
        raise Fault("not-json", f"{where} answered 200, but with no JSON object ({error})") from error
    raise_error(response.error, short(field(response.error_type)), where=where)
    if (text := string(response.generated_text)) is None:
        raise Fault("no-text", f"{where} answered 200 without generated_text")
    return build_answer(text, part(response.details, Details), headers, where=where)


def _only(body: Body) -> Body:
    """Take the one element out of a list of one."""
    if bytes(memoryview(body)[:1]) != b"[":
        return body
    return bytes(body).strip().removeprefix(b"[").removesuffix(b"]")


def build_answer(
    text: str,
    details: Details,
    headers: Mapping[str, str],
    first_top: Raw | None = None,
    *,
    where: str = "",
) -> Answer:
    """Build the answer from its text, its details and the response's headers.

    Raises:
        Fault, RequestRejected: its reason to end says that it is none.
    """
    finish, notes = ending(short(field(details.finish_reason), 40), where=where)
    prefill = tokens(details.prefill)
    given = count(field(details.input_length)) or count(headers.get("x-prompt-tokens"))
    written = count(field(details.generated_tokens)) or count(headers.get("x-generated-tokens"))
    return Answer(
        outside.text(text),
        finish_reason=finish,
        prompt_tokens=given or len(prefill),
        output_tokens=written or 0,
        seed=_seed(field(details.seed)),
        queue_s=queue_s(headers),
        top_tokens=_first(details.top_tokens) if first_top is None else tokens(first_top),
        prefill=prefill,
        detailed=details != Details(),
        notes=notes,
    )


def _first(places: Raw) -> Sequence[Token]:
    """Read the alternatives at the first place of several."""
    try:
        return next(iter(read(places, list[list[Token]])), ()) if 0 < len(places) <= KEPT else ()
    except ValueError:
        return ()


def _seed(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _SEEDS else None


def queue_s(headers: Mapping[str, str]) -> float | None:
    """Read how long the request queued in the server; None when the server does not tell."""
    queued = count(headers.get("x-queue-time"))
    return None if queued is None else queued / 1000


def cut(text: str, stops: Iterable[str]) -> tuple[str, bool]:
    """Cut at the earliest stop string: TGI returns it with the text, and misses it when overshot."""
    places = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)
