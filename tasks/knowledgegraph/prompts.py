"""The texts a model is shown, from literals that are data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.data import literals
from harness.errors import DataError
from harness.types import Message, TaskConfig
from tasks.knowledgegraph.action import KgCall

TASK_SCRIPT = "THUDM/AgentTuning:AgentBench.old/src/tasks/knowledgegraph/task.py:"
API_SCRIPT = "THUDM/AgentTuning:AgentBench.old/src/tasks/knowledgegraph/api.py:"
LOOP = f"{TASK_SCRIPT}KnowledgeGraph.predict_single#"

TASK_NAMES = ("INSTRUCTIONS", "DEMOS", "ONE_SHOT")
LOOP_TEXTS = (8, 31, 33, 54, 57, 59, 60, 67)
API_TEXTS = (
    *("get_relations#2", "get_neighbors#2", "get_neighbors#3", "get_neighbors#4"),
    *("intersection#1", "intersection#2", "intersection#3", "union#1", "union#2", "union#3"),
    *("count#1", "argmax#1", "argmax#2", "argmin#1", "argmin#2"),
)
ADDRESSES = (
    *(f"{TASK_SCRIPT}{name}" for name in TASK_NAMES),
    *(f"{LOOP}{number}" for number in LOOP_TEXTS),
    *(f"{API_SCRIPT}{name}" for name in API_TEXTS),
)
"""Every literal of the data file, in its order."""


class KgPrompts:
    """Instruction, exemplar and what the tools say.

    Raises:
        DataError: a literal is missing, or the exemplar is no list of texts.
    """

    def __init__(self, cfg: TaskConfig) -> None:
        path = cfg.data / "prompts.json"
        self._texts: Mapping[str, Any] = literals(path)
        if missing := [address for address in ADDRESSES if address not in self._texts]:
            raise DataError(f"{path} has no {missing[0]}; get the file again")
        shots = self._texts[f"{TASK_SCRIPT}ONE_SHOT"]
        if not isinstance(shots, list) or not all(isinstance(shot, str) for shot in shots):
            raise DataError(f"{path}: the exemplar is no list of texts; get the file again")
        self._shots: list[str] = shots
        self.no_such_variable = self._said(31)
        self.not_executed = self._said(33)
        self.no_function = self._said(67)

    def _said(self, number: int) -> str:
        return str(self._texts[f"{LOOP}{number}"])

    def opening(self, question: str, entities: Iterable[str]) -> tuple[Message, ...]:
        """Everything before the first reply: instruction, assent, one exemplar, the question."""
        asked = f"A new question: {question}\nEntities: [{', '.join(entities)}]"
        shots = [
            Message("assistant" if turn % 2 else "user", text, "shot")
            for turn, text in enumerate(self._shots)
        ]
        return (
            Message("user", str(self._texts[f"{TASK_SCRIPT}INSTRUCTIONS"]), "task"),
            Message("assistant", self._said(8), "task"),
            *shots,
            Message("user", asked, "task"),
        )

    def variable(self, number: int, kind: str, *, counted: bool) -> str:
        """Announce a variable: a number, or instances of a type."""
        text = str(self._texts[f"{API_SCRIPT}{'count#1' if counted else 'get_neighbors#4'}"])
        return text.replace("##", f"#{number}") + ("" if counted else kind)

    def listed(self, names: Iterable[str]) -> str:
        """List relations or attributes."""
        return f"Observation: [{', '.join(names)}]"

    def failed(self, call: KgCall) -> str:
        """Why a call was not executed, as far as upstream says."""
        if call.arguments is None:
            return f"{self._said(59)}{call.name}{self._said(60)}"
        reason = self._said(57 if call.name == "intersection" else 54)
        return f"{call.name}({', '.join(call.arguments)}{reason}"
