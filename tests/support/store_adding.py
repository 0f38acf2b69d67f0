"""Adds attempts to a store for tests that ask what became of each."""

from __future__ import annotations

from harness.storage.store import Attempt, Store


def added(store: Store, attempt: Attempt) -> bool:
    """Add an attempt; whether it became its item's final one."""
    store.add(attempt)
    *_, newest = store.attempts()
    return newest.final
