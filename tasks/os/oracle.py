"""Runs the reference solution in the shell and answers with what it prints."""

from __future__ import annotations

from harness.episode import BaseOracle
from harness.types import Observation
from tasks.os import score as scoring
from tasks.os.rows import OsProblem


class OsOracle(BaseOracle):
    """Plays one problem."""

    def __init__(self, problem: OsProblem, *, corrected_gold: bool) -> None:
        self._problem = problem
        self._corrected = corrected_gold
        self._asked = False

    async def reply(self, observation: Observation) -> str:
        """The example as a script, then its output as the answer, or just the end."""
        problem = self._problem
        if problem.example is None:
            return f"Think: I know it.\n\nAct: answer({problem.match})"
        if not self._asked:
            self._asked = True
            code = scoring.corrected(problem) if self._corrected else problem.example.code
            silent = f"{{\n{code}\n}} 2>/dev/null" if self._answers else code
            return f"Think: I run the solution.\n\nAct: bash\n\n```bash\n{silent}\n```"
        if not self._answers:
            return "Think: It is done.\n\nAct: finish"
        return f"Think: I have it.\n\nAct: answer({str(observation.info.get('output', '')).strip()})"

    @property
    def _answers(self) -> bool:
        """Whether the problem needs an answer; else the state of the system decides."""
        checks = self._problem.checks
        asked = any(check is None or check.language == "python" for check in checks)
        return asked or self._problem.match is not None
