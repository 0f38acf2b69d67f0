"""The prompt texts of SciWorld, read as data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data import literals
from harness.errors import DataError
from harness.types import Message

CONSTANTS = "constants.json"
EXEMPLARS = "prompts/prompt.json"
_EVAL = "science-world/eval.py:"


@dataclass(frozen=True, slots=True)
class SciWorldPrompts:
    """What an episode says besides the simulator's own words.

    Attributes:
        exemplars: for each task's index, observations and answers in turn, answers last.
    """

    system: str
    instruction: str
    acknowledgement: str
    new_task: str
    thought: str
    rooms: tuple[str, ...]
    exemplars: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, folder: Path) -> SciWorldPrompts:
        """Read the task's data folder.

        Raises:
            DataError: a file or a text is missing.
        """
        found = literals(folder / CONSTANTS)
        try:
            return cls(
                system=found[_EVAL + "eval#system_message"],
                instruction=found[_EVAL + "INIT_PROMPT"],
                acknowledgement=found[_EVAL + "eval#init_ack"],
                new_task=found[_EVAL + "eval#new_task_prefix"],
                thought=found[_EVAL + "eval#think_observation"],
                rooms=tuple(found["science-world/eval_utils.py:rooms"]),
                exemplars=json.loads((folder / EXEMPLARS).read_text(encoding="utf-8")),
            )
        except (KeyError, OSError, ValueError) as error:
            raise DataError(
                f"sciworld's texts are incomplete ({error!r}): harness data verify sciworld"
            ) from error

    def opening(self, index: int, scene: str, *, exemplars: bool) -> tuple[Message, ...]:
        """Everything the model is shown before its first answer.

        Args:
            index: the task's place in the alphabetical list, which names its exemplar.
            scene: the cleaned first observation, a newline, and the task.
            exemplars: whether the exemplar is shown.
        """
        shots = self.exemplars[str(index)] if exemplars else ()
        return (
            Message("system", self.system),
            Message("user", self.instruction),
            Message("assistant", self.acknowledgement),
            *(Message("assistant" if i % 2 else "user", text, "shot") for i, text in enumerate(shots)),
            Message("user", (self.new_task + scene).strip(), "task"),
        )


def cleaned(text: str) -> str:
    """Put one space for each newline and each tab."""
    return text.replace("\n", " ").replace("\t", " ")
