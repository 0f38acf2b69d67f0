"""Reads event streams, wherever the network cut them, and what TGI says in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from msgspec import Raw, Struct

from harness.models import outside
from harness.models.clients.answer import Answer, Details, Response, build_answer, read_generate
from harness.models.clients.meaning import raise_error
from harness.models.clients.reasoning import StopWatch
from harness.models.pool.faults import Fault
from harness.models.untrusted import ABSENT, Body, field, part, read, short, string

S = TypeVar("S")

_SLACK = 64
"""A stream may hold this many events more than tokens were asked for, and as many again."""


class _StreamToken(Struct):
    text: Raw = ABSENT
    special: Raw = ABSENT


class Following(Protocol):
    """Follows one response that comes as events."""

    def whole(self, body: Body) -> Answer:
        """Read a response that is no stream after all."""
        ...

    def feed(self, chunk: bytes) -> Answer | None:
        """Take bytes; the answer once it is complete."""
        ...

    def end(self) -> Answer | None:
        """Take the end of the response; None when it ended too early."""
        ...


Follow = Callable[[Mapping[str, str]], Following]
"""Begins to follow a response with these headers."""


class Bound:
    """Counts a stream's events, and ends one of far more than the tokens that were asked for."""

    def __init__(self, room: int, where: str) -> None:
        self._room, self._where = room, where
        self.events = 0

    def count(self) -> None:
        """Count an event.

        Raises:
            Fault: there are too many.
        """
        self.events += 1
        if self._room and self.events > 2 * self._room + _SLACK:
            raise Fault("endless", f"{self._where} sent {self.events} events for {self._room} tokens")


def event_of(data: bytes, shape: type[S], where: str) -> S:
    """Read an event's JSON.

    Raises:
        Fault: it is none.
    """
    try:
        return read(data, shape)
    except ValueError as error:
        raise Fault("not-json", f"{where} sent an event that is no JSON object") from error


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
        headers: of the response.
        room: tokens asked for; a stream of far more events is no answer. 0: any number.
        watch: says when the text is complete before its last event.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        *,
        room: int = 0,
        watch: StopWatch | None = None,
        where: str = "",
    ) -> None:
        self._events = Events()
        self._headers = headers
        self._where = where
        self._bound = Bound(room, where)
        self._watch = watch or StopWatch()
        self._first_top: Raw | None = None
        self._pieces: list[str] = []

    def whole(self, body: Body) -> Answer:
        """Read a response that is no stream: a proxy's page, or a server that cannot stream."""
        return read_generate(body, self._headers, where=self._where)

    def feed(self, chunk: bytes) -> Answer | None:
        """Take bytes; give the answer once its last event is in, or a stop string is.

        Raises:
            Fault, ContextOverflow, RequestRejected: the stream carried an error.
        """
        seen = False
        for data in self._events.feed(chunk):
            event = event_of(data, Response, self._where)
            raise_error(event.error, short(field(event.error_type)), where=self._where)
            self._bound.count()
            if self._first_top is None:
                self._first_top = event.top_tokens
            if (text := string(event.generated_text)) is not None:
                details = part(event.details, Details)
                return build_answer(text, details, self._headers, self._first_top, where=self._where)
            seen = self._add(part(event.token, _StreamToken)) or seen
        return self._early() if seen else None

    def end(self) -> Answer | None:
        """Take the end of the response; the answer, where only a line end is missing."""
        return self.feed(b"\n")

    def _add(self, token: _StreamToken) -> bool:
        piece = "" if field(token.special) is True else string(token.text) or ""
        self._pieces.append(piece)
        return self._watch.sees(piece)

    def _early(self) -> Answer | None:
        text = outside.text("".join(self._pieces))
        if not self._watch.confirms(text):
            return None
        return Answer(text, "stop_sequence", output_tokens=self._bound.events)
