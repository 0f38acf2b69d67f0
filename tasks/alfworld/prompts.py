"""What the model is shown before its first turn: instruction, assent and the exemplar of the kind of task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.data import literals
from harness.errors import DataError
from harness.types import Message

Protocol = Literal["agenttuning", "agentbench-v0.2"]

ADDRESS = "THUDM/AgentTuning:AgentBench.old/src/tasks/alfworld/"
INSTRUCTION = f"{ADDRESS}task.py:ALFWorld.get_task_instruction#0"
ASSENT, EXAMPLE, TASK = (f"{ADDRESS}task.py:ALFWorld.alfworld_run#{n}" for n in (12, 13, 14))
ARRIVAL = f"{ADDRESS}utils.py:process_ob#0"
ADDRESSES = (INSTRUCTION, ASSENT, EXAMPLE, TASK, ARRIVAL)

NEWER = "THUDM/AgentBench:src/server/tasks/alfworld/task.py:ALFWorld.get_task_instruction#0"
NEWER_FILE = "prompts-v0.2.json"

EXEMPLARS: Mapping[Protocol, str] = {
    "agenttuning": "alfworld_multiturn_react.json",
    "agentbench-v0.2": "alfworld_multiturn_plan_first.json",
}
FOLDER = Path("AgentTuning/AgentBench.old/src/tasks/alfworld/prompts")

ACTIONS = " AVAILABLE ACTIONS: "


@dataclass(frozen=True, slots=True)
class AlfworldPrompts:
    """The texts of one protocol.

    Attributes:
        exemplars: alternating turns by kind of task, the user's first.
        arrival: an observation that starts so loses its first sentence.
        strip: whether the client strips every message, as AgentTuning's does: the first one only when it is
            shown, behind the notice of its window (`segments-3500`), all others here.
    """

    instruction: str
    assent: str
    example: str
    task: str
    arrival: str
    exemplars: Mapping[str, tuple[str, ...]]
    strip: bool

    def opening(self, kind: str) -> tuple[Message, ...]:
        """Everything before the task, which comes as the next user's turn."""
        turns = list(self.exemplars[kind])
        turns[0] = self.example + turns[0]
        shots = [self.message("assistant" if n % 2 else "user", turn) for n, turn in enumerate(turns)]
        return (
            Message("user", self.instruction),
            self.message("assistant", self.assent),
            *(Message(shot.role, shot.content, "shot") for shot in shots),
        )

    def message(self, role: Literal["user", "assistant"], text: str) -> Message:
        """A turn as the client sends it."""
        return Message(role, text.strip() if self.strip else text)

    def first(self, feedback: str) -> str:
        """The task's turn: the engine's first words without the banner."""
        return self.task + "\n".join(feedback.split("\n\n")[1:])

    def observation(self, feedback: str) -> str:
        """The engine's words as upstream shows them: without the place that an arrival names first."""
        if feedback.startswith(self.arrival):
            return feedback[feedback.find(". ") + 2 :]
        return feedback


def offered(commands: tuple[str, ...]) -> str:
    """The list of admissible commands that follows the newest turn when actions are shown."""
    return ACTIONS + "\n".join(commands) + "\n"


def load(data: Path, protocol: Protocol) -> AlfworldPrompts:
    """Read a protocol's texts.

    AgentBench v0.2 words its instruction anew. Without that text (`data prepare` reads it from a checkout)
    AgentTuning's stands in, with the misspelling mended that v0.2 no longer has.

    Raises:
        DataError: a file is missing or not what is pinned.
    """
    texts = literals(data / "prompts.json")
    instruction = texts[INSTRUCTION]
    if protocol == "agentbench-v0.2":
        newer = data / NEWER_FILE
        mended = instruction.replace("envrionment", "environment")
        instruction = literals(newer)[NEWER] if newer.is_file() else mended
    return AlfworldPrompts(
        instruction,
        *(texts[address] for address in (ASSENT, EXAMPLE, TASK, ARRIVAL)),
        exemplars=_exemplars(data / FOLDER / EXEMPLARS[protocol]),
        strip=protocol == "agenttuning",
    )


def _exemplars(path: Path) -> dict[str, tuple[str, ...]]:
    try:
        content: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; `harness doctor` says how to get it") from error
    return {kind: tuple(turns) for kind, turns in content.items() if isinstance(turns, list)}
