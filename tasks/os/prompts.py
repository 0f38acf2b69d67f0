"""Lays out upstream's texts of the conversation, read as data from its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.types import Message

_FILE = "THUDM/AgentTuning:AgentBench.old/src/tasks/os_interaction/task.py"
TEXT = f"{_FILE}:OSInteraction._judge.get_answer#"
ONE_SHOT = f"{_FILE}:ONE_SHOT"
INSTRUCTION, FIRST_LEAD, NEXT_LEAD = f"{TEXT}3", f"{TEXT}5", f"{TEXT}12"
TRUNCATED, OUTPUT_LEAD, EMPTY = f"{TEXT}22", f"{TEXT}26", f"{TEXT}27"

SHOWN = 800
CUT = 780


@dataclass(frozen=True, slots=True)
class OsPrompts:
    """The texts of the conversation.

    Upstream's client strips every message it sends. Here all are stripped but the first, which is when it is
    shown, behind the notice of its window.

    Attributes:
        opening: instruction and exemplar, up to the problem.
        lead: before the problem.
        truncated: ends an output that was cut.
        output: before an output.
        empty: in the place of an empty one.
    """

    opening: tuple[Message, ...]
    lead: str
    truncated: str
    output: str
    empty: str

    @classmethod
    def from_literals(cls, texts: Mapping[str, Any]) -> OsPrompts:
        """Lay out upstream's literals: the exemplar's first turn follows the instruction."""
        first, *others = texts[ONE_SHOT]
        start = texts[INSTRUCTION] + texts[FIRST_LEAD] + first["content"]
        shots = [
            Message("user" if turn["role"] == "user" else "assistant", turn["content"].strip(), "shot")
            for turn in others
        ]
        opening = (Message("user", start, "task"), *shots)
        return cls(opening, texts[NEXT_LEAD], texts[TRUNCATED], texts[OUTPUT_LEAD], texts[EMPTY])


def shorten(text: str, marker: str) -> str:
    """Cut what is longer than 800 characters to 780 and say so."""
    return text if len(text) <= SHOWN else text[:CUT] + marker
