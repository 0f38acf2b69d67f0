"""Follows a completion that an OpenAI-compatible server streams."""

from __future__ import annotations

from collections.abc import Mapping

from harness.models import outside
from harness.models.clients.answer import Answer
from harness.models.clients.openai_text import Choice, Said, written
from harness.models.clients.openai_wire import Completion, build, first_choice, read_completion
from harness.models.clients.reasoning import StopWatch
from harness.models.clients.stream import Bound, Events, event_of
from harness.models.pool.faults import Fault
from harness.models.untrusted import Body, field, short

_LAST = b"[DONE]"


class OpenAiStream:
    """Assembles the answer of a streamed completion or chat completion.

    It is complete with `[DONE]`, or at the end of a response that gave a reason to end.

    Args:
        headers: of the response; nothing is read from them.
        room: tokens asked for; a stream of far more events is no answer. 0: any number.
        watch: says when the text is complete before that.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        *,
        room: int = 0,
        watch: StopWatch | None = None,
        where: str = "",
    ) -> None:
        del headers
        self._events, self._where = Events(), where
        self._bound = Bound(room, where)
        self._watch = watch or StopWatch()
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._refusals: list[str] = []
        self._notes: dict[str, None] = {}
        self._rest = Completion()
        self._finish = ""

    def whole(self, body: Body) -> Answer:
        """Read a response that is no stream: a proxy's page, or a server that cannot stream."""
        return read_completion(body, where=self._where)

    def feed(self, chunk: bytes) -> Answer | None:
        """Take bytes; give the answer once it is complete, or a stop string is in its text.

        Raises:
            Fault, ContextOverflow, RequestRejected: the stream carried an error, or is no answer.
        """
        seen = False
        for data in self._events.feed(chunk):
            if data == _LAST:
                return self._complete()
            self._bound.count()
            seen = self._add(event_of(data, Completion, self._where)) or seen
        return self._early() if seen else None

    def end(self) -> Answer | None:
        """Take the end of the response; None when no reason to end was given."""
        try:
            answer = self.feed(b"\n")
        except Fault as fault:
            if fault.kind != "not-json" or not self._finish:
                raise
            answer = None  # only the usage or `[DONE]` was cut
        return answer or (self._complete() if self._finish else None)

    def _add(self, event: Completion) -> bool:
        if len(event.usage):
            self._rest.usage = event.usage
        if len(event.system_fingerprint):
            self._rest.system_fingerprint = event.system_fingerprint
        if (choice := first_choice(event, self._where)) is None:
            return False
        self._finish = short(field(choice.finish_reason), 40) or self._finish
        said = written(choice) or Said()
        self._texts.append(said.text)
        self._thoughts.append(said.thought)
        self._refusals.append(said.refusal)
        self._notes |= dict.fromkeys(said.notes)
        return bool(said.text) and self._watch.sees(said.text)

    def _said(self) -> Said:
        told = ("".join(self._texts), "".join(self._thoughts), "".join(self._refusals))
        return Said(*told, tuple(self._notes))

    def _complete(self) -> Answer:
        said = self._said()
        if not self._finish and not (said.text or said.thought or said.notes):
            raise Fault("no-text", f"{self._where} streamed no text")
        return build(said, self._finish, self._rest, Choice(), where=self._where)

    def _early(self) -> Answer | None:
        said = self._said()
        if not self._watch.confirms(outside.text(said.text)):
            return None
        answer = build(said, "stop_sequence", self._rest, Choice(), where=self._where)
        answer.output_tokens = answer.output_tokens or self._bound.events
        return answer
