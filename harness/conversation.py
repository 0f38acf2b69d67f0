"""What has been said in an episode, as the next prompt shows it."""

from __future__ import annotations

from harness import history
from harness.types import Message, Observation, Reply


class Conversation:
    """What has been said since the context began, as the next prompt needs it."""

    def __init__(self, policy: str, render: history.Render) -> None:
        from harness import tokens

        self._policy, counter = history.policy(policy)
        self._count = tokens.counter(counter)
        self._render = render
        self._messages: list[Message] = []

    def observe(self, observation: Observation, reply: Reply | None) -> None:
        """Take in the last reply as it enters the history, then what is new."""
        if observation.fresh:
            self._messages.clear()
        elif reply is not None:
            said = reply.text if observation.said is None else observation.said
            self._messages.append(Message("assistant", said))
        self._messages.extend(observation.messages)

    def shown(self) -> tuple[Message, ...]:
        """The conversation as the history policy lets it through."""
        return tuple(self._policy(self._messages, self._render, self._count))
