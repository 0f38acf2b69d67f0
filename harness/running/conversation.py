"""What has been said in an episode, as the next prompt shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import history
from harness.storage.codec import shared_prefix
from harness.storage.records import Turn
from harness.types import Ask, Message, Notice, Observation, Reply

Change = tuple[int, int, str]
"""A message that a policy rewrote: its index, how many characters stayed, and the text after them."""


class Conversation:
    """What has been said since the context began, as the next prompt needs it."""

    def __init__(
        self,
        policy: str,
        render: history.Render,
        notice: Notice | None = None,
        vocabulary: Path | None = None,
    ) -> None:
        self._policy = history.counting(policy, notice, vocabulary)
        self._render = render
        self._messages: list[Message] = []
        self._shown: tuple[Message, ...] | None = None

    def observe(self, observation: Observation, reply: Reply | None) -> None:
        """Add the last reply as it enters the history, then the new messages."""
        if observation.fresh:
            self._messages.clear()
        elif reply is not None:
            said = reply.text if observation.said is None else observation.said
            self._messages.append(Message("assistant", said))
        self._messages.extend(observation.messages)
        self._shown = None

    def shown(self) -> tuple[Message, ...]:
        """The conversation as the history policy lets it through."""
        self._shown = tuple(self._policy(self._messages, self._render))
        return self._shown

    def turn(self, observation: Observation, ask: Ask | None) -> Turn:
        """What the observation brought and the prompt then showed, for the store.

        Called after `observe` and, unless the prompt is raw or there is none, after `shown`.

        Args:
            observation: the one observed last.
            ask: as it is sent.

        Raises:
            ValueError: the policy shows a message that is none of the conversation's.
        """
        kept, changed = None, ()
        if self._shown is not None and self._shown != tuple(self._messages):
            kept, changed = _difference(self._messages, self._shown)
        return Turn(
            observation.messages,
            observation.said,
            observation.fresh,
            observation.raw,
            ask,
            kept,
            changed,
            observation.info,
        )


def _difference(
    messages: Sequence[Message], shown: Sequence[Message]
) -> tuple[tuple[tuple[int, int], ...], tuple[Change, ...]]:
    """Which ranges of the messages are shown, and which of them were rewritten."""
    ranges: list[tuple[int, int]] = []
    changed: list[Change] = []
    at = 0
    for message in shown:
        index = _index_of(messages, message, at)
        if index is None:
            index = _index_of_rewritten(messages, message, at)
            changed.append(_change(index, messages[index].content, message.content))
        if ranges and ranges[-1][1] == index:
            ranges[-1] = (ranges[-1][0], index + 1)
        else:
            ranges.append((index, index + 1))
        at = index + 1
    return tuple(ranges), tuple(changed)


def _index_of(messages: Sequence[Message], message: Message, at: int) -> int | None:
    """Find what a policy let through: it is the very object."""
    return next((i for i in range(at, len(messages)) if messages[i] is message), None)


def _index_of_rewritten(messages: Sequence[Message], message: Message, at: int) -> int:
    """Find what a policy rewrote: the next message of the same role and pin."""
    for index in range(at, len(messages)):
        if (messages[index].role, messages[index].pin) == (message.role, message.pin):
            return index
    raise ValueError(f"the history policy shows a {message.role} message that the conversation does not hold")


def _change(index: int, old: str, new: str) -> Change:
    stayed = shared_prefix(old, new)
    return index, stayed, new[stayed:]
