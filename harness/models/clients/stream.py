"""Reads TGI's event streams, wherever the network cut them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Raw, Struct

from harness.models import outside
from harness.models.clients.answer import Answer, Details, Response, build_answer, cut
from harness.models.pool.faults import Fault
from harness.models.untrusted import ABSENT, field, part, read, string

_SLACK = 64
"""A stream may hold this many events more than tokens were asked for, and as many again."""


class _StreamToken(Struct):
    text: Raw = ABSENT
    special: Raw = ABSENT


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
        stops: a text with one of these is complete before its last event.
    """

    def __init__(
        self, headers: Mapping[str, str], *, room: int = 0, stops: tuple[str, ...] = (), where: str = ""
    ) -> None:
        self._events = Events()
        self._headers = headers
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
                event = read(data, Response)
            except ValueError as error:
                raise Fault("not-json", f"{self._where} sent an event that is no JSON object") from error
            event.raise_error(self._where)
            self.tokens += 1
            if self._room and self.tokens > 2 * self._room + _SLACK:
                raise Fault("endless", f"{self._where} sent {self.tokens} events for {self._room} tokens")
            if self._first_top is None:
                self._first_top = event.top_tokens
            if (text := string(event.generated_text)) is not None:
                return build_answer(text, part(event.details, Details), self._headers, self._first_top)
            self._add(part(event.token, _StreamToken))
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
