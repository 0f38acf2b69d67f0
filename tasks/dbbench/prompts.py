"""Builds what the model is shown first, from upstream's texts, which are read as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data import literals
from harness.types import Message

_FILE = "THUDM/AgentTuning:AgentBench.old/src/tasks/dbbench/__init__.py"
PROMPT, ASSENT = f"{_FILE}:big_prompt", f"{_FILE}:process#8"


@dataclass(frozen=True, slots=True)
class DbBenchPrompts:
    """Upstream's instruction, and the assistant's consent to it."""

    instruction: str
    assent: str

    @classmethod
    def read(cls, folder: Path) -> DbBenchPrompts:
        """Read both from the task's data."""
        texts = literals(folder / "prompts.json")
        return cls(texts[PROMPT], texts[ASSENT])

    def opening(self, row: Mapping[str, Any]) -> tuple[Message, ...]:
        """The messages before the first reply, for one question."""
        task = f"{row['description']}\n{row['add_description']}"
        return (
            # The client strips it when it is shown, behind the notice of its window.
            Message("user", self.instruction.lstrip(), "task"),
            Message("assistant", self.assent.strip(), "task"),
            Message("user", task.strip(), "task"),
        )
