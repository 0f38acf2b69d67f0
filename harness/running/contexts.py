"""What a task's world is given: its configuration, as planned or as a run's store holds it, and a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from harness import data
from harness.episode import Task
from harness.models.roles import parse_role
from harness.running import selection
from harness.types import Context, TaskConfig


def stored_config(
    task: Task, chosen: Mapping[str, Any], found: data.Resolved, mirror: str | None
) -> TaskConfig:
    """The configuration a run's store holds for one of its tasks.

    Args:
        task: the installed task.
        chosen: the run's configuration, as stored.
        found: where the task's data is now.
        mirror: where files that several tasks use are looked for first.
    """
    name = task.spec.name
    return TaskConfig(
        found.path,
        selection.stored_options(name, task.Options, chosen["tasks"][name]["options"]),
        chosen["profile"],
        found.source,
        stored_split(task, chosen),
        frozenset(parse_role(text).role for text in chosen.get("roles") or ()),
        mirror,
    )


def stored_split(task: Task, chosen: Mapping[str, Any]) -> str:
    """The split of a task that a run's store holds."""
    suites: str | None = chosen["tasks"][task.spec.name].get("split")
    return chosen.get("split") or suites or task.spec.splits[0]


def context(cfg: TaskConfig, work: Path) -> Context:
    """A task's configuration with a scratch folder, which is made."""
    work.mkdir(parents=True)
    return Context(**{field.name: getattr(cfg, field.name) for field in fields(cfg)}, work=work)
