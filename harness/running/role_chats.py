"""The auxiliary models of one attempt: every exchange is logged with it, and answered once per key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from harness.models.api import Model
from harness.models.roles import RoleCall, RoleOptions, RoleSession
from harness.running.results import THOUGHT_CHARS
from harness.storage.records import Attempt, CallRecord
from harness.types import CallKey, Chat


class EpisodeRoles:
    """The roles an episode may ask, for all rebuilds of one attempt.

    Args:
        attempt: every exchange is appended to its `calls`, numbered by role.
        models: the bound models by role.
        options: how they are asked.
    """

    def __init__(self, attempt: Attempt, models: Mapping[str, Model], options: RoleOptions) -> None:
        key = CallKey(attempt.task, attempt.sample, attempt.repeat, 0)
        self._attempt = attempt
        self._asked: Counter[str] = Counter()
        self.chats: Mapping[str, Chat] = {
            role: RoleSession(role, model, key, options=options, log=self._log)
            for role, model in models.items()
        }
        """What `World.episode` is given: a chat for each bound role."""

    def _log(self, call: RoleCall) -> None:
        facts = {"prompt_tokens": call.reply.prompt_tokens, "output_tokens": call.reply.output_tokens}
        record = CallRecord(
            self._asked[call.role],
            call.prompt,
            call.reply.text,
            facts,
            role=call.role,
            key=call.key,
            thought=call.reply.thought[:THOUGHT_CHARS],
        )
        self._asked[call.role] += 1
        self._attempt.calls.append(record)
