"""Rebuilds from stored turns what the model was shown, and with its template every prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from harness.errors import StoreError
from harness.storage.records import CallRecord, Turn
from harness.types import Message

Render = Callable[[Sequence[Message]], str]
"""Gives the prompt of a conversation as the model's template does."""


def conversations(calls: Iterable[CallRecord]) -> Iterator[tuple[CallRecord, Turn, tuple[Message, ...]]]:
    """Each call of the model under test with its turn and the whole conversation before its reply.

    Args:
        calls: of one attempt, in their order; calls of auxiliary roles are passed over.

    Raises:
        StoreError: a call has no turn, as those of a version-1 store.
    """
    messages: list[Message] = []
    reply: str | None = None
    for call in calls:
        if call.role:
            continue
        if call.turn is None:
            raise StoreError(
                f"call {call.n} was stored without its turn, by a harness of store version 1; "
                "its prompt is whole, but its messages are not known: play the run again for them"
            )
        if call.turn.fresh:
            messages.clear()
        elif reply is not None:
            messages.append(Message("assistant", reply if call.turn.said is None else call.turn.said))
        messages.extend(call.turn.messages)
        reply = call.reply
        yield call, call.turn, tuple(messages)


def shown(turn: Turn, messages: Sequence[Message]) -> tuple[Message, ...]:
    """The part of a conversation that the history policy let through, rewritten where it rewrote."""
    if turn.kept is None:
        return tuple(messages)
    now = list(messages)
    for index, stayed, text in turn.changed:
        now[index] = replace(now[index], content=now[index].content[:stayed] + text)
    return tuple(message for start, end in turn.kept for message in now[start:end])


def prompts(calls: Iterable[CallRecord], render: Render) -> Iterator[str]:
    """Every prompt of an attempt as it was sent, from turns and replies alone.

    Raises:
        StoreError: a call has no turn.
    """
    for _, turn, messages in conversations(calls):
        prompt = turn.raw if turn.raw is not None else render(shown(turn, messages))
        yield prompt + (turn.ask.prefix if turn.ask is not None else "")
