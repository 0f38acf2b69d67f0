"""Plays the stored SQL, or says the stored answer."""

from __future__ import annotations

import json
import re

from harness.episode import BaseOracle
from harness.types import Observation, Sample

_NUMBER = re.compile(r"(=\s*)(\d+)(?=\s*;?\s*$)")


class DbOracle(BaseOracle):
    """One statement and an answer for a change, one answer for a question."""

    def __init__(self, sample: Sample, *, changes: bool) -> None:
        self._labels: list[str] = sample.data["label"]
        # Two stored statements compare a text column with a bare number, which strict mode refuses.
        self._sql = _NUMBER.sub(r"\1'\2'", self._labels[0].strip()) if changes else ""
        self._said = False

    async def reply(self, observation: Observation) -> str:
        """Operate first where there is something to change, then answer."""
        del observation
        if self._sql and not self._said:
            self._said = True
            return f"I will change the table.\nAction: Operation\n```sql\n{self._sql}\n```"
        answer = ["done"] if self._sql else self._labels
        return f"This is the answer.\nAction: Answer\nFinal Answer: {json.dumps(answer, ensure_ascii=False)}"
