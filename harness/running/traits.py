"""Records how a task's answers were got, where that belongs beside its number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.storage.store import Attempt, Store


class Traits:
    """The traits of a run's tasks: the method of choices, and notes on calls such as `raw->user`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, set[str]] = {}

    def note(self, attempt: Attempt) -> None:
        """Store what an attempt's calls add to the traits of its task."""
        key = f"traits/{attempt.task}"
        if attempt.task not in self._known:
            self._known[attempt.task] = set(self._store.meta(key) or ())
        known = self._known[attempt.task]
        new = {trait for call in attempt.calls for trait in _traits(call.facts)} - known
        if new:
            known |= new
            self._store.set_meta(key, sorted(known))


def _traits(facts: Mapping[str, Any]) -> list[str]:
    method = facts.get("method")
    return [*facts.get("notes", ()), *([f"choices by method {method}"] if method else [])]
