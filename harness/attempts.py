"""What the store keeps of a run: planned items, attempts and their calls."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.types import Outcome, Pending, Row


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One request as it was sent and answered.

    Attributes:
        role: empty for the model under test, else the auxiliary role.
        key: the auxiliary call's key; for the model under test the call's number.
        info: the episode's log of what it did with the reply.
    """

    n: int
    prompt: str
    reply: str
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])
    role: str = ""
    key: str = ""


@dataclass(slots=True)
class Attempt:
    """One attempt at one item, ready to be stored."""

    task: str
    version: int
    sample: str
    repeat: int
    outcome: Outcome = "infra_error"
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    note: str = ""
    error: str = ""
    calls: list[CallRecord] = field(default_factory=list[CallRecord])
    rebuilds: int = 0
    started: float = field(default_factory=time.time)
    seconds: float = 0.0
    pending: Pending | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """Identity of one planned episode."""

    task: str
    version: int
    sample: str
    repeat: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored attempt without its calls."""

    id: int
    item: Item
    final: bool
    outcome: Outcome
    value: float | None
    metrics: Mapping[str, float]
    note: str
    error: str
    pending: Pending | None
    calls: int
    prompt_tokens: int
    output_tokens: int
    seconds: float

    def row(self) -> Row:
        """View a counted, valued attempt as `aggregate` wants it."""
        if self.value is None:
            raise ValueError(f"{self.item} has no value yet")
        return Row(self.item.sample, self.item.repeat, self.outcome, self.value, self.metrics)
