"""TGI's protocol as bytes: building requests, reading answers and event streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from msgspec import Raw, Struct

from harness.models import outside
from harness.models.pool.faults import Fault, from_error
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
from harness.types import Ask, CallKey, Value

MAX_STOPS = 4
_GREEDY_BELOW = 1e-4
_SEEDS = 1 << 64
_ERROR = 1 << 16
_SLACK = 64
"""A stream may hold this many events more than tokens were asked for, and as many again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one successful attempt brought back, as the server said it; counts it does not tell are 0."""

    text: str
    finish_reason: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0
    seed: int | None = None
    queue_s: float | None = None
    top_tokens: Sequence[Token] = ()
    """Alternatives to the first generated token."""
    prefill: Sequence[Token] = ()
    detailed: bool = True


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


class _Details(Struct):
    finish_reason: Raw = ABSENT
    generated_tokens: Raw = ABSENT
    input_length: Raw = ABSENT
    seed: Raw = ABSENT
    prefill: Raw = ABSENT
    top_tokens: Raw = ABSENT


class _StreamToken(Struct):
    text: Raw = ABSENT
    special: Raw = ABSENT


class _Said(Struct):
    """An answer of /generate or an event of /generate_stream: what is read of it, each field as sent."""

    generated_text: Raw = ABSENT
    details: Raw = ABSENT
    token: Raw = ABSENT
    top_tokens: Raw = ABSENT
    error: Raw = ABSENT
    error_type: Raw = ABSENT

    def refuse(self, where: str) -> None:
        """Raise what an error inside a 200 stands for."""
        if len(self.error) and bytes(self.error) != b"null":
            said = string(self.error) or bytes(self.error)[:_ERROR].decode("utf-8", "replace")
            raise from_error(200, said, short(field(self.error_type)), where=where)


def read_generate(body: Body, sent_headers: Mapping[str, str], *, where: str = "") -> Answer:
    """Read the answer of /generate, or of / where it is a list of one.

    Raises:
        Fault: a 200 that is no answer: a proxy's page, or an object without text.
    """
    try:
        said = read(_only(body), _Said)
    except ValueError as error:
        raise Fault("not-json", f"{where} answered 200, but with no JSON object ({error})") from error
    said.refuse(where)
    if (text := string(said.generated_text)) is None:
        raise Fault("no-text", f"{where} answered 200 without generated_text")
    return _answer(text, part(said.details, _Details), sent_headers)


def _only(body: Body) -> Body:
    """Take the one element out of a list of one."""
    if bytes(memoryview(body)[:1]) != b"[":
        return body
    return bytes(body).strip().removeprefix(b"[").removesuffix(b"]")


def _answer(
    text: str, details: _Details, sent_headers: Mapping[str, str], first_top: Raw | None = None
) -> Answer:
    prefill = tokens(details.prefill)
    given = count(field(details.input_length)) or count(sent_headers.get("x-prompt-tokens"))
    written = count(field(details.generated_tokens)) or count(sent_headers.get("x-generated-tokens"))
    return Answer(
        outside.text(text),
        finish_reason=short(field(details.finish_reason), 40),
        prompt_tokens=given or len(prefill),
        output_tokens=written or 0,
        seed=_seed(field(details.seed)),
        queue_s=queue_s(sent_headers),
        top_tokens=_first(details.top_tokens) if first_top is None else tokens(first_top),
        prefill=prefill,
        detailed=details != _Details(),
    )


def _first(places: Raw) -> Sequence[Token]:
    """Read the alternatives at the first place of several."""
    try:
        return next(iter(read(places, list[list[Token]])), ()) if 0 < len(places) <= KEPT else ()
    except ValueError:
        return ()


def _seed(told: Any) -> int | None:
    return told if isinstance(told, int) and not isinstance(told, bool) and 0 <= told < _SEEDS else None


def queue_s(sent_headers: Mapping[str, str]) -> float | None:
    """Read how long the request queued in the server; None when it does not say."""
    queued = count(sent_headers.get("x-queue-time"))
    return None if queued is None else queued / 1000


class Events:
    """Splits a byte stream into server-sent events, wherever the network cut it."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """Take bytes, give the data of each `data:` line that is complete; comments are skipped."""
        if b"\n" not in chunk:  # kept in pieces: adding to one long line again and again is quadratic
            self._rest.append(chunk)
            return
        lines = b"".join((*self._rest, chunk)).split(b"\n")
        self._rest = [lines.pop()]
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:") and (data := line[5:].strip()):
                yield data


class Stream:
    """Assembles the answer of /generate_stream.

    The text is what the last event says: the pieces of single tokens may be halves of a character.

    Args:
        sent_headers: of the response.
        room: tokens asked for; a stream of far more events is no answer. 0: any number.
        stops: a text with one of these is complete before its last event.
    """

    def __init__(
        self, sent_headers: Mapping[str, str], *, room: int = 0, stops: tuple[str, ...] = (), where: str = ""
    ) -> None:
        self._events = Events()
        self._headers = sent_headers
        self._where = where
        self._room = room
        self._stops = tuple(filter(None, stops))
        self._first_top: Raw | None = None
        self._pieces: list[str] = []
        self._end = ""
        """The end of the text so far, as long as a stop string that continues may be."""
        self._stopped = False
        self.tokens = 0

    def feed(self, chunk: bytes) -> Answer | None:
        """Take bytes; give the answer once its last event is in, or a stop string is.

        Raises:
            Fault, ContextOverflow, RequestRejected: the stream carried an error.
        """
        for data in self._events.feed(chunk):
            try:
                said = read(data, _Said)
            except ValueError as error:
                raise Fault("not-json", f"{self._where} sent an event that is no JSON object") from error
            said.refuse(self._where)
            self.tokens += 1
            if self._room and self.tokens > 2 * self._room + _SLACK:
                raise Fault("endless", f"{self._where} sent {self.tokens} events for {self._room} tokens")
            if self._first_top is None:
                self._first_top = said.top_tokens
            if (text := string(said.generated_text)) is not None:
                return _answer(text, part(said.details, _Details), self._headers, self._first_top)
            self._add(part(said.token, _StreamToken))
        return self._early() if self._stopped else None

    def _add(self, token: _StreamToken) -> None:
        piece = "" if field(token.special) is True else string(token.text) or ""
        self._pieces.append(piece)
        window = self._end + piece
        self._stopped = self._stopped or any(stop in window for stop in self._stops)
        self._end = window[-max(map(len, self._stops)) :] if self._stops else ""

    def _early(self) -> Answer | None:
        text, _ = cut(outside.text("".join(self._pieces)), self._stops)
        if "\ufffd" not in text:
            return Answer(text, "stop_sequence", output_tokens=self.tokens)
        # A replacement character may be half of a real one: only the last event knows.
        self._stops, self._stopped = (), False
        return None


def cut(text: str, stops: Iterable[str]) -> tuple[str, bool]:
    """Cut at the earliest stop string: TGI returns it with the text, and misses it when overshot."""
    places = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)
