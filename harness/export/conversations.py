"""Turns an episode's calls into conversations whose every message says whether the model wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.models.clients.reasoning import THOUGHT
from harness.storage import transcript
from harness.storage.records import CallRecord, Turn
from harness.types import Message


@dataclass(frozen=True, slots=True)
class Part:
    """One message of an exported conversation.

    Attributes:
        loss: the model generated the content in this place, unchanged: train on it. A ranked choice was
            not generated, and an earlier reply that a later prompt repeats is trained on where it was given.
        rewritten: later prompts showed `said` in place of the content.
        thought: what the model thought before it; no part of the content.
        prefix: start of this message that the harness wrote and the model continued; no part of the content.
        finish: why the reply ended: `eos_token`, `stop_sequence`, or `length` when it was cut off.
    """

    role: str
    content: str
    loss: bool = False
    rewritten: bool = False
    said: str = ""
    thought: str = ""
    prefix: str = ""
    finish: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one context of the model held, from its first prompt to its last reply.

    Attributes:
        raw: there were no roles: the first part is a raw prompt, the second its completion.
    """

    parts: tuple[Part, ...]
    raw: bool = False

    @property
    def trains(self) -> bool:
        """Whether there is anything to train on."""
        return any(part.loss and part.content for part in self.parts)


def conversations(calls: Sequence[CallRecord]) -> list[Conversation]:
    """The contexts in which an episode's replies were given.

    Every reply is trained on once, behind exactly what the model was shown: a prompt that continues the one
    before lengthens its conversation, any other (a fresh context, one that a history policy cut or rewrote,
    a raw prompt) begins another.

    Args:
        calls: of the model under test. Those of store version 1 have no turns: each is a raw prompt, as sent.
    """
    if any(call.turn is None for call in calls):
        return [_raw(call, call.prompt) for call in calls]
    found = _Contexts()
    for call, turn, messages in transcript.conversations(calls):
        found.add(call, turn, messages)
    return found.done()


class _Contexts:
    """Puts calls together as long as each prompt continues the one before."""

    def __init__(self) -> None:
        self._done: list[Conversation] = []
        self._parts: list[Part] = []
        self._seen: tuple[Message, ...] = ()
        self._reply: str | None = None

    def add(self, call: CallRecord, turn: Turn, messages: tuple[Message, ...]) -> None:
        """Take the next call; `messages` is the whole conversation before its reply."""
        if turn.raw is not None:
            self._close()
            self._done.append(_raw(call, turn.raw))
            self._reply = None
            return
        shown = transcript.shown(turn, messages)
        if not self._continues(turn, shown):
            self._close()
            self._parts = [Part(message.role, message.content) for message in shown]
        else:
            new = shown[len(self._seen) + 1 :]
            self._parts += [Part(message.role, message.content) for message in new]
        self._parts.append(_reply(call))
        self._seen, self._reply = shown, call.reply

    def _continues(self, turn: Turn, shown: tuple[Message, ...]) -> bool:
        """Whether a prompt is the last one, its reply and something new; notes what the reply became."""
        if turn.fresh or self._reply is None:
            return False
        said = self._reply if turn.said is None else turn.said
        if said != self._reply:
            self._parts[-1] = replace(self._parts[-1], rewritten=True, said=said)
        at = len(self._seen)
        follows = len(shown) > at and (shown[at].role, shown[at].content) == ("assistant", said)
        return follows and shown[:at] == self._seen

    def _close(self) -> None:
        if self._parts:
            self._done.append(Conversation(tuple(self._parts)))
        self._parts = []

    def done(self) -> list[Conversation]:
        """All conversations, in the order in which they began."""
        self._close()
        return self._done


def _reply(call: CallRecord) -> Part:
    ask = call.turn.ask if call.turn is not None else None
    ranked = bool(ask and ask.choices) or "choice" in call.facts
    return Part(
        "assistant",
        call.reply,
        loss=not ranked,
        thought=call.thought,
        prefix=ask.prefix if ask is not None else "",
        finish=str(call.facts.get("finish_reason", "")),
    )


def _raw(call: CallRecord, prompt: str) -> Conversation:
    return Conversation((Part("user", prompt), _reply(call)), raw=True)


def told(calls: Sequence[CallRecord]) -> Iterator[Part]:
    """An episode as one list of messages, each once: what was new, then the reply, call by call."""
    for call in calls:
        turn = call.turn
        if turn is None or turn.raw is not None:
            yield Part("user", call.prompt if turn is None or turn.raw is None else turn.raw)
        else:
            yield from (Part(message.role, message.content) for message in turn.messages)
        yield _reply(call)


def cut_in_thought(call: CallRecord) -> bool:
    """Whether the budget of tokens ran out before there was an answer, which ended the episode."""
    facts = call.facts
    thinks = bool(call.thought) or THOUGHT in facts.get("notes", ())
    return thinks and not call.reply.strip() and facts.get("finish_reason") == "length"
