"""Auxiliary models inside an episode: one `Chat` per role for a whole world, bound to whoever calls."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from harness.errors import InfraError
from harness.models.client import Model
from harness.models.roles import BoundChat, RoleCall
from harness.store import Attempt, CallRecord
from harness.types import Ask, CallKey, Message, Reply

_episode: ContextVar[Binding] = ContextVar("episode")


@dataclass(slots=True)
class Binding:
    """The roles of one attempt; what they say is logged with the attempt and answered once per key."""

    attempt: Attempt
    models: Mapping[str, Model]
    seed: int
    suite: str
    deadline_s: float
    chats: dict[str, BoundChat] = field(default_factory=dict[str, BoundChat])
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def enter(self) -> None:
        """Make this the binding of the running task and of all tasks it starts."""
        _episode.set(self)

    def chat(self, role: str) -> BoundChat:
        """The role's model, bound to this attempt."""
        if role not in self.chats:
            key = CallKey(self.attempt.task, self.attempt.sample, self.attempt.repeat, 0)
            self.chats[role] = BoundChat(
                role,
                self.models[role],
                key,
                log=self._log,
                seed=self.seed,
                suite=self.suite,
                deadline_s=self.deadline_s,
            )
        return self.chats[role]

    def _log(self, call: RoleCall) -> None:
        n = self.counts[call.role] = self.counts.get(call.role, -1) + 1
        facts = {"prompt_tokens": call.reply.prompt_tokens, "output_tokens": call.reply.output_tokens}
        record = CallRecord(n, call.prompt, call.reply.text, facts, role=call.role, key=call.key)
        self.attempt.calls.append(record)


class RoleChat:
    """What a task finds under `ctx.models[role]`; asked from within an episode only."""

    def __init__(self, role: str) -> None:
        self._role = role

    async def ask(self, key: str, messages: tuple[Message, ...] | str, ask: Ask) -> Reply:
        """Answer on behalf of the episode that asks.

        Raises:
            InfraError: the role failed, or no episode is running here.
        """
        binding = _episode.get(None)
        if binding is None:
            raise InfraError(f"role {self._role} was asked outside an episode")
        return await binding.chat(self._role).ask(key, messages, ask)
