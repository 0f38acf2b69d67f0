"""Finds benchmarks by entry point, so that a third party's package adds one without touching this one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import cast

from harness.episode import Task
from harness.errors import MissingPart, UsageError

GROUP = "harness.tasks"


@cache
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def names() -> tuple[str, ...]:
    """Names of all registered tasks, sorted; nothing is imported."""
    return tuple(sorted(_entries()))


def package(name: str) -> str:
    """Dotted name of the package that holds the task: the entry point's module, or what that module lies in.

    The module is looked for, not imported; one that lies in no package stands for itself.
    """
    module = _entry(name).module
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return module
    if spec is None or spec.submodule_search_locations is not None:
        return module
    return module.rpartition(".")[0] or module


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
