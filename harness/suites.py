"""Suites: named lists of tasks, with the samples each takes; all of it data (suites.toml, ids/)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from harness.registry import nearest


@dataclass(frozen=True, slots=True)
class Choice:
    """Which samples of a task a suite takes: by id, or the first `limit`; neither means all."""

    ids: tuple[str, ...] | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """A named list of tasks.

    Attributes:
        samples: tasks of which the suite takes only some samples.
        fixture: runs on the shipped fixtures.
    """

    name: str
    tasks: tuple[str, ...]
    samples: Mapping[str, Choice] = field(default_factory=dict[str, Choice])
    fixture: bool = False


@cache
def load() -> Mapping[str, Suite]:
    """All suites by name."""
    text = (files("harness") / "suites.toml").read_text(encoding="utf-8")
    suites: dict[str, Suite] = {}
    for name, table in tomllib.loads(text).items():
        choices = {task: Choice(limit=count) for task, count in table.get("limit", {}).items()}
        choices |= {task: Choice(ids=_ids(name, task)) for task in table.get("ids", [])}
        suites[name] = Suite(name, tuple(table["tasks"]), choices, table.get("fixture", False))
    return suites


def find(name: str) -> Suite:
    """One suite.

    Raises:
        UsageError: no such suite, with the nearest names.
    """
    suites = load()
    if name not in suites:
        raise nearest(name, suites, "suite")
    return suites[name]


def all_members() -> frozenset[str]:
    """Every task any suite names, whether this version has it or not."""
    return frozenset(task for suite in load().values() for task in suite.tasks)


def _ids(suite: str, task: str) -> tuple[str, ...]:
    text = (files("harness") / "ids" / suite / f"{task}.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))
