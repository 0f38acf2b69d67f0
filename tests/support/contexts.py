"""Contexts and samples of a task for tests, with options by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.episode import Task
from harness.running import selection
from harness.types import Context, Profile, Sample, Source, TaskConfig


def task_context(
    task: Task,
    data: Path,
    work: Path = Path(),
    *,
    profile: Profile = "paper",
    source: Source = "mirror",
    roles: Sequence[str] = (),
    **options: Any,
) -> Context:
    """A context with the profile's options, some of them set: texts as typed, other values as they are."""
    typed = {name: value for name, value in options.items() if isinstance(value, str)}
    values = {name: value for name, value in options.items() if name not in typed}
    chosen = replace(selection.options(task.spec.name, task.Options, profile, typed), **values)
    return Context(data, chosen, profile, source, task.spec.splits[0], frozenset(roles), work=work)


def samples_of(task: Task, cfg: TaskConfig, split: str | None = None) -> Sequence[Sample]:
    """The samples of a split, the task's first unless named."""
    return task.samples(replace(cfg, split=split or task.spec.splits[0]))
