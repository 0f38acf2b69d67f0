"""Records how a task's answers were obtained, as far as it changes the score or is shown with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from harness.models.clients.answer import SYSTEM, UNCUT
from harness.storage.private import OVERFLOW
from harness.storage.records import CallRecord
from harness.storage.store import Attempt, Store
from harness.types import Ask

LENGTH, EMPTY = "finish_reason length", "empty reply"
"""The traits of a reply that `max_new_tokens` ended, and of one without text."""

EVERY = 100
"""Attempts after which counts are written down again; a run that is killed loses fewer than these."""


EPISODES, IMPUTED = "episodes", "episodes with imputed values"
NO_TRAITS = frozenset(("calls", EPISODES, IMPUTED))
"""Counts that are stored beside those of the traits."""


class Traits:
    """The traits of a run's tasks, and in how many calls each was seen.

    A trait is a note on a call (`raw->user`, `truncate not sent`, `imputed:2`), the method of choices, the
    decoding as it was sent, or that the reply was cut or empty. `traits/TASK` has their names,
    `counts/TASK` the calls of each, with all `calls`, the episodes, and those in which a floor stands for a
    log-probability.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counts: dict[str, Counter[str]] = {}
        self._noted: Counter[str] = Counter()

    def note(self, attempt: Attempt) -> None:
        """Add an attempt's calls to the traits of its task."""
        task = attempt.task
        counts = self._counts.get(task)
        if counts is None:
            counts = self._counts[task] = Counter(self._store.meta(f"counts/{task}") or {})
        before = len(counts)
        seen = set[str]()
        for call in attempt.calls:
            if not call.role:
                counts["calls"] += 1
                for name in _traits(call):
                    counts[name] += 1
                    seen.add(name)
        for name in _whole(attempt, seen):
            counts[name] += 1
        self._noted[task] += 1
        if len(counts) > before or self._noted[task] % EVERY == 0:
            self._write(task)

    def close(self) -> None:
        """Write every count down."""
        for task in self._counts:
            self._write(task)

    def _write(self, task: str) -> None:
        counts = self._counts[task]
        self._store.set_meta(f"counts/{task}", dict(sorted(counts.items())))
        names = counts.keys() - NO_TRAITS
        self._store.set_meta(f"traits/{task}", sorted({*names, *(self._store.meta(f"traits/{task}") or ())}))


def _whole(attempt: Attempt, traits: set[str]) -> Iterator[str]:
    """What is counted of an episode as a whole; one that ended at a prompt too long has no call for it."""
    yield EPISODES
    if any(name.startswith("imputed:") for name in traits):
        yield IMPUTED
    if UNCUT in attempt.note and attempt.note.startswith(OVERFLOW):
        yield UNCUT


def _traits(call: CallRecord) -> Iterator[str]:
    facts: Mapping[str, Any] = call.facts
    yield from (note for note in facts.get("notes", ()) if not note.startswith(SYSTEM))
    if method := facts.get("method"):
        yield f"choices by method {method}"
    if call.turn is not None and call.turn.ask is not None and not call.turn.ask.choices:
        yield f"decoding {decoding(call.turn.ask)}"
        if facts.get("finish_reason") == "length":
            yield LENGTH
        if not call.reply:
            yield EMPTY


def decoding(ask: Ask) -> str:
    """The decoding that an `Ask` requests, as text."""
    if ask.top_p is None and not ask.temperature:
        return "greedy"
    drawn = [f"temperature {1.0 if ask.temperature is None else ask.temperature:g}"]
    return ", ".join([*drawn, *([f"top-p {ask.top_p:g}"] if ask.top_p is not None else [])])
