"""The oracle: it answers in place of a model, as well as the sample can be played."""

from __future__ import annotations

from typing import Protocol

from harness.types.talk import Observation


class Oracle(Protocol):
    """Plays a sample as well as it can be played; stateful, one per attempt."""

    async def reply(self, observation: Observation) -> str:
        """Answer; may read `observation.info`. For `Ask.choices` return the chosen string."""
        ...

    async def role_reply(self, role: str, prompt: str) -> str:
        """Answer in the place of an auxiliary model.

        Raises:
            NotImplementedError: the oracle does not play this role.
        """
        ...
