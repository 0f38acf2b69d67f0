"""What the store keeps of a run: planned items, attempts and their calls."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.types import Ask, Message, Outcome, Pending, Row
from harness.types.empty import empty


@dataclass(frozen=True, slots=True)
class Turn:
    """What an observation brought, and which part of the conversation the prompt then showed.

    The turns of an episode and its replies give the conversation back, and with the model's template every
    prompt as it was sent.

    Attributes:
        messages: new since the last reply.
        said: how the last reply entered the conversation when not as received.
        fresh: the conversation began anew with `messages`.
        raw: a raw completion prompt instead of the conversation.
        ask: as sent.
        kept: [start, end) ranges of the conversation's messages that the history policy let through; None
            when it let all of them through unchanged.
        changed: messages within `kept` that the policy rewrote: index, how many characters of the start
            stayed, and the text after them.
        info: the environment's log of this observation.
    """

    messages: tuple[Message, ...] = ()
    said: str | None = None
    fresh: bool = False
    raw: str | None = None
    ask: Ask | None = None
    kept: tuple[tuple[int, int], ...] | None = None
    changed: tuple[tuple[int, int, str], ...] = ()
    info: Mapping[str, Any] = field(default_factory=empty)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One request as it was sent and answered.

    Attributes:
        turn: what the prompt was made of; None for auxiliary roles and in runs of store version 1.
        role: empty for the model under test, else the auxiliary role.
        key: the auxiliary call's key; for the model under test the call's number.
        info: the episode's log of what it did with the reply.
        thought: what the model thought before the reply.
    """

    n: int
    prompt: str
    reply: str
    facts: Mapping[str, Any] = field(default_factory=empty)
    info: Mapping[str, Any] = field(default_factory=empty)
    role: str = ""
    key: str = ""
    turn: Turn | None = None
    thought: str = ""


@dataclass(slots=True)
class Attempt:
    """One attempt at one item, ready to be stored.

    Attributes:
        labels: the sample's labels.
        cluster: the sample's cluster.
        answer: what was read out of the replies, for readers.
        target: what was wanted.
        last: the observation after the last reply; None when there was none.
    """

    task: str
    version: int
    sample: str
    repeat: int
    outcome: Outcome = "infra_error"
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=empty)
    note: str = ""
    error: str = ""
    calls: list[CallRecord] = field(default_factory=list[CallRecord])
    rebuilds: int = 0
    started: float = field(default_factory=time.time)
    seconds: float = 0.0
    pending: Pending | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    labels: Mapping[str, str] = field(default_factory=empty)
    cluster: str = ""
    answer: str = ""
    target: str = ""
    last: Turn | None = None


@dataclass(frozen=True, slots=True)
class EpisodeKey:
    """Identity of one planned episode."""

    task: str
    version: int
    sample: str
    repeat: int


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """A stored attempt without its calls; `started` is in Unix seconds."""

    id: int
    item: EpisodeKey
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
    labels: Mapping[str, str] = field(default_factory=empty)
    cluster: str = ""
    answer: str = ""
    target: str = ""
    started: float = 0.0

    def row(self) -> Row:
        """View a counted, valued attempt as `aggregate` wants it."""
        if self.value is None:
            raise ValueError(f"{self.item} has no value yet")
        return Row(
            self.item.sample,
            self.item.repeat,
            self.outcome,
            self.value,
            self.metrics,
            self.labels,
            self.cluster,
        )


def metric_name(metric: str, judge: str) -> str:
    """The metric's name with its judge: numbers by different judges are different metrics."""
    return f"{metric}@{judge}"
