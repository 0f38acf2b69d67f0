"""Notices that a task's code was changed in the middle of a run without a new version of the task."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from harness.catalog import registry
from harness.running.plan import TaskPlan
from harness.storage.store import Store

log = logging.getLogger(__name__)


def digest(task: str) -> str:
    """Hash a task's Python files with their places; empty for a question set, whose form is its data."""
    if registry.question_set(task) is not None:
        return ""
    spec = importlib.util.find_spec(registry.package(task))
    found = hashlib.sha256()
    for folder in sorted(spec.submodule_search_locations or () if spec else ()):
        for path in sorted(Path(folder).rglob("*.py")):
            name = path.relative_to(folder).as_posix()
            found.update(f"{len(name)} {name} {path.stat().st_size} ".encode())
            found.update(path.read_bytes())
    if spec is not None and not spec.submodule_search_locations and spec.origin:
        found.update(Path(spec.origin).read_bytes())
    return found.hexdigest()[:16]


def note_code(store: Store, tasks: Sequence[TaskPlan]) -> None:
    """Record the code that plays each task; where earlier episodes had another, say so."""
    known = cast("dict[str, list[str]]", store.meta("code") or {})
    for task in tasks:
        name, now = task.spec.name, digest(task.spec.name)
        played = known.setdefault(name, [])
        if now in played[-1:]:
            continue
        played.append(now)
        if len(played) > 1:
            log.warning(
                "%s: its code changed since the run began, though its version is still %d; raise the version "
                "when a number moves, and give --new",
                name,
                task.spec.version,
            )
    store.set_meta("code", known)
