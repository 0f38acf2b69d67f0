"""Finds benchmarks by entry point or, when they are plain question sets, by the path of their file."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from harness.authoring.question_set import QuestionSet, read_form
from harness.episode import Task
from harness.errors import MissingPart, UsageError

GROUP = "harness.tasks"
FORM = ".toml"
"""How the file of a question set ends, on the command line (`--task capitals.toml`) and in an entry point
(`capitals = "my_package:capitals.toml"`, a file of that package)."""


_named: dict[str, Path] = {}
"""Question sets that the command line of this process named by their path."""


@lru_cache(maxsize=4)
def _installed(path: tuple[str, ...]) -> dict[str, EntryPoint]:
    del path  # where packages are looked for; another path may hold others
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _entries() -> dict[str, EntryPoint]:
    return _installed(tuple(sys.path))


def names() -> tuple[str, ...]:
    """Names of all registered tasks, sorted; nothing is imported."""
    return tuple(sorted({*_entries(), *_named}))


def named(word: str) -> str:
    """The name of the task that a word of the command line means: a name, or the path of a question set.

    Raises:
        DataError: a path ends in `.toml`, but its file is no question set.
        UsageError: its id is another task's.
    """
    if not word.endswith(FORM):
        return word
    path = Path(word).expanduser().resolve()
    name = read_form(path).form.id
    if name in _entries() or _named.get(name, path) != path:
        other = _named.get(name, "an installed task")
        raise UsageError(f"{word} has the id {name}, which is {other}: choose another id")
    _named[name] = path
    return name


def question_set(name: str) -> QuestionSet | None:
    """The question set of this name, None when the task is written in Python.

    Raises:
        UsageError: no such task, or its file is no question set.
    """
    if name in _named:
        return read_form(_named[name])
    entry = _entry(name)
    _, _, file = entry.value.partition(":")
    if not file.endswith(FORM):
        return None
    spec = find_spec(entry.module)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise MissingPart(f"task {name}: {entry.module} is no package; reinstall what it comes from")
    return read_form(Path(folders[0]) / file)


def package(name: str) -> str:
    """Dotted name of the package that holds the task: the entry point's module, or the package it belongs to.

    The module is looked up, not imported; for one outside any package its own name is returned.
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
    """Import one task, or read the form of a question set.

    Raises:
        UsageError: no such task, with the nearest names.
        MissingPart: its package does not import; whatever it raised is named.
    """
    found = question_set(name)
    if found is not None and name in _named:
        return found
    entry = _entry(name)
    try:
        task = found or cast(Task, entry.load())
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
    close = difflib.get_close_matches(word.lower(), options, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(options)}"
    return UsageError(f"unknown {what} {word!r}: {hint}")


def _entry(name: str) -> EntryPoint:
    entries = _entries()
    if name not in entries:
        raise nearest(name, entries, "task")
    return entries[name]
