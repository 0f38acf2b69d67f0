"""Plays a MiniWoB++ page by a script, answering every stage in the model's own language."""

from __future__ import annotations

from collections.abc import Iterator

from harness.episode import BaseOracle
from harness.types import Observation
from tasks.miniwob.policies import POLICIES, PageContent

PLAN = "\n".join(f"{n}. the next instruction of the script" for n in range(1, 26))
"""More numerals than any script needs: a page ends its episode itself."""

NOWHERE = "clickxpath //nowhere"


class WobOracle(BaseOracle):
    """One attempt at one page."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._sight = PageContent()
        self._script: Iterator[str] | None = None
        self._instruction = NOWHERE

    async def reply(self, observation: Observation) -> str:
        """Answer a plan, a critique or an instruction, whatever the stage asks for."""
        info = observation.info
        stage = info["stage"]
        if stage in ("plan", "revise"):
            return PLAN if self._task in POLICIES else "1. there is no script for this page"
        if stage == "critique":
            return "The plan has no problem."
        if stage == "act":
            self._sight.update(info["goal"], info["page"], info["fields"])
            self._instruction = self._next()
        return f"{self._instruction}`."

    def _next(self) -> str:
        if self._script is None:
            policy = POLICIES.get(self._task)
            self._script = policy(self._sight) if policy else iter(())
        return next(self._script, NOWHERE)
