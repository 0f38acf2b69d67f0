"""One case: its conversation is shown, and one reply is valued."""

from __future__ import annotations

from dataclasses import replace

from harness.types import Observation, Pending, Profile, Reply, Score
from tasks.teval import score as scoring
from tasks.teval.oracle import answer
from tasks.teval.prompts import shown
from tasks.teval.rows import CaseRow


class TEvalEpisode:
    """Asks once; what needs an embedder waits for one."""

    def __init__(self, row: CaseRow, functions: str, profile: Profile) -> None:
        self._row, self._functions = row, functions
        self._profile: Profile = profile
        self._text = ""

    async def reset(self) -> Observation:
        return shown(self._row, self._functions)

    async def step(self, reply: Reply) -> Observation:
        self._text = reply.text
        return Observation(done=True)

    async def score(self) -> Score | Pending:
        found = scoring.valued(self._row, self._text, self._profile)
        target = answer(self._row)
        if isinstance(found, Pending):
            return replace(found, partial=Score(0.0, answer=self._text, target=target))
        return replace(found, answer=self._text, target=target)

    async def close(self) -> None:
        """Nothing to release."""
