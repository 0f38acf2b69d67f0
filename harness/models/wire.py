"""TGI's protocol as bytes: building requests, reading answers and event streams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from harness.models.faults import Fault, from_error
from harness.models.records import decode, number, record, rows
from harness.types import Ask, CallKey, Value

MAX_STOPS = 4
_SURROGATE = re.compile("[\ud800-\udfff]")
_GREEDY_BELOW = 1e-4


@dataclass(frozen=True, slots=True)
class Answer:
    """What one successful attempt brought back, as the server said it."""

    text: str
    finish_reason: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0
    seed: int | None = None
    queue_s: float | None = None
    top_tokens: Sequence[Mapping[str, Any]] = ()
    """Alternatives to the first generated token."""
    prefill: Sequence[Mapping[str, Any]] = ()
    detailed: bool = True
    logprobs: Mapping[str, float] | None = None
    """Alternatives to the first token by text, where a protocol gives only that."""


def clean(text: str) -> str:
    """Replace lone surrogates, which no JSON parser on the other side accepts."""
    return _SURROGATE.sub("\ufffd", text)


def parameters(
    ask: Ask, *, seed: int | None, stop: Sequence[str] = (), decoding: Mapping[str, Value] | None = None
) -> dict[str, Any]:
    """Write an `Ask` as TGI parameters; nothing is left to the server's defaults.

    Greedy omits temperature: sending any but 1 switches sampling on even with do_sample false.
    """
    sampling = ask.top_p is not None or (ask.temperature is not None and ask.temperature > _GREEDY_BELOW)
    sent: dict[str, Any] = {"max_new_tokens": ask.max_new_tokens, "do_sample": sampling, "details": True}
    if sampling:
        if ask.temperature is not None:
            sent["temperature"] = ask.temperature
        if ask.top_p is not None and ask.top_p < 1.0:  # 1.0 is refused, and means the same
            sent["top_p"] = ask.top_p
    if stops := [*dict.fromkeys((*ask.stop, *stop))][:MAX_STOPS]:
        sent["stop"] = stops
    if ask.truncate is not None:
        sent["truncate"] = ask.truncate
    for key, value in (decoding or {}).items():
        sent.pop(key, None)
        if value is not None:
            sent[key] = value
    if samples(sent) and seed is not None:
        sent["seed"] = max(1, seed)
    return sent


def samples(sent: Mapping[str, Any]) -> bool:
    """Whether a TGI server draws at random under these parameters, whatever do_sample says."""
    return bool(
        sent.get("do_sample")
        or sent.get("temperature", 1.0) != 1.0
        or sent.get("top_k")
        or sent.get("top_p", 1.0) < 1.0
        or sent.get("typical_p", 1.0) < 1.0
    )


def headers(key: CallKey, role: str = "", part: str = "") -> dict[str, str]:
    """Name a call in headers; values that are not plain ASCII are percent-encoded."""
    named = {"X-Harness-Role": _header(role), "X-Harness-Part": _header(part)} if role else {}
    return named | {
        "X-Harness-Task": _header(key.task),
        "X-Harness-Sample": _header(key.sample),
        "X-Harness-Repeat": str(key.repeat),
        "X-Harness-Call": str(key.call),
    }


def _header(value: str) -> str:
    plain = value.isascii() and value.isprintable() and "%" not in value and value == value.strip()
    return value if plain else quote(value, safe="/ :,;=+", errors="replace")


def read_generate(body: bytes, sent_headers: Mapping[str, str], *, where: str = "") -> Answer:
    """Read the answer of /generate, or of / where it is a list of one.

    Raises:
        Fault: a 200 that is no answer: a proxy's page, or an object without text.
    """
    try:
        data = decode(body)
    except ValueError as error:
        raise Fault("not-json", f"{where} answered 200 with a body that is not JSON ({error})") from error
    told = record(rows(data)[0] if rows(data) else data)
    if "error" in told:
        raise from_error(200, str(told["error"]), str(told.get("error_type") or ""), where=where)
    if not isinstance(told.get("generated_text"), str):
        raise Fault("no-text", f"{where} answered 200 without generated_text")
    return _answer(told["generated_text"], record(told.get("details")), sent_headers)


def _answer(text: str, details: Mapping[str, Any], sent_headers: Mapping[str, str]) -> Answer:
    tops, prefill = rows(details.get("top_tokens")), rows(details.get("prefill"))
    counted = details.get("input_length") or sent_headers.get("x-prompt-tokens") or len(prefill)
    return Answer(
        clean(text),
        finish_reason=str(details.get("finish_reason") or ""),
        prompt_tokens=int(number(counted)),
        output_tokens=int(number(details.get("generated_tokens") or sent_headers.get("x-generated-tokens"))),
        seed=details.get("seed"),
        queue_s=queue_s(sent_headers),
        top_tokens=[record(token) for token in rows(tops[0])] if tops else (),
        prefill=[record(token) for token in prefill],
        detailed=bool(details),
    )


def queue_s(sent_headers: Mapping[str, str]) -> float | None:
    """Read how long the request queued in the server; None when it does not say."""
    queued = sent_headers.get("x-queue-time")
    return number(queued) / 1000 if queued else None


class Events:
    """Splits a byte stream into server-sent events, wherever the network cut it."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """Take bytes, give the data of each `data:` line that is complete; comments are skipped."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:") and (data := line[5:].strip()):
                yield data


class Stream:
    """Assembles the answer of /generate_stream.

    The text is what the last event says: the pieces of single tokens may be halves of a character.
    """

    def __init__(self, sent_headers: Mapping[str, str], *, where: str = "") -> None:
        self._events = Events()
        self._headers = sent_headers
        self._where = where
        self._first_top: Any = None
        self.partial = ""
        self.tokens = 0

    def feed(self, chunk: bytes) -> Answer | None:
        """Take bytes; give the answer once its last event is in.

        Raises:
            Fault, ContextOverflow, RequestRejected: the stream carried an error.
        """
        for data in self._events.feed(chunk):
            try:
                event = record(decode(data))
            except ValueError as error:
                raise Fault("not-json", f"{self._where} sent an event that is not JSON") from error
            if "error" in event:
                kind = str(event.get("error_type") or "")
                raise from_error(200, str(event["error"]), kind, where=self._where)
            self.tokens += 1
            if self.tokens == 1:
                self._first_top = event.get("top_tokens")
            token = record(event.get("token"))
            self.partial += "" if token.get("special") else str(token.get("text") or "")
            if isinstance(event.get("generated_text"), str):
                details = record(event.get("details")) | {"top_tokens": [self._first_top]}
                return _answer(event["generated_text"], details, self._headers)
        return None


def cut(text: str, stops: Iterable[str]) -> tuple[str, bool]:
    """Cut at the earliest stop string: TGI returns it with the text, and misses it when overshot."""
    places = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)
