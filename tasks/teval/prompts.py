"""What the model is shown: the case's own conversation."""

from __future__ import annotations

from dataclasses import replace

from harness.types import Ask, Observation
from tasks.teval.rows import CaseRow

ASK = Ask(512)
"""Greedy, as upstream's script has it."""


def shown(row: CaseRow, functions: str) -> Observation:
    """A case's conversation; `functions` names the role in which what tools returned is told."""
    turns = row.messages
    if functions != "function":
        turns = tuple(replace(m, role="user") if m.role == "function" else m for m in turns)
    return Observation(turns, ASK)
