"""Finds benchmarks by entry point, so that a third party's package adds one without touching this one."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from harness.episode import Task
from harness.errors import MissingPart, UsageError

GROUP = "harness.tasks"


@lru_cache(maxsize=4)
def _installed(path: tuple[str, ...]) -> dict[str, EntryPoint]:
    del path  # where packages are looked for; another path may hold others
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _entries() -> dict[str, EntryPoint]:
    return _installed(tuple(sys.path))


def names() -> tuple[str, ...]:
    """Names of all registered tasks, sorted; nothing is imported."""
    return tuple(sorted(_entries()))


def package(name: str) -> str:
    """Dotted name of the package that holds the task."""
    return _entry(name).module


def load(name: str) -> Task:
    """Import one task.

    Raises:
        UsageError: no such task, with the nearest names.
        MissingPart: its package does not import; whatever it raised is named.
    """
    entry = _entry(name)
    try:
        task = cast(Task, entry.load())
        called = task.spec.name
    except (Exception, SystemExit) as error:  # code of a third party may raise anything
        what = f"{type(error).__name__}: {error}"
        raise MissingPart(f"task {name} does not load from {entry.value} ({what})") from error
    if called != name:
        raise UsageError(f"task {name} calls itself {called}: its entry point must carry that name")
    return task


def nearest(word: str, known: Iterable[str], what: str) -> UsageError:
    """Build the error for an unknown name, with the nearest known ones."""
    options = sorted(known)
    close = difflib.get_close_matches(word.lower(), options, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(options)}"
    return UsageError(f"unknown {what} {word!r}: {hint}")


def _entry(name: str) -> EntryPoint:
    entries = _entries()
    if name not in entries:
        raise nearest(name, entries, "task")
    return entries[name]
