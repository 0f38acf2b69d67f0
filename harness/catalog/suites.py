"""Suites, read from data: named lists of tasks, with the samples of each and the rule of the Overall.

This package's are in `suites.toml` and `ids/`. Another package adds its own, or tasks to one of these, with
an entry point of the group `harness.suites`: its value is the package that holds a `suites.toml` like this.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

from harness.catalog.registry import nearest

log = logging.getLogger(__name__)

GROUP = "harness.suites"
Rule = Literal["agenttuning", "mean"]
"""How an Overall is made of scores: AgentTuning's weights, or their plain mean."""

OVERALL = ("overall", "overall_name", "reference")
"""The keys of a suite that say how its Overall is made, called and compared."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which samples of a task a suite takes: by id, or the first `limit`; neither means all.

    Attributes:
        split: whose samples they are; None for those of the task's default split.
    """

    ids: tuple[str, ...] | None = None
    limit: int | None = None
    split: str | None = None


ALL = Choice()
"""What a suite takes of a task it says nothing of."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A named list of tasks.

    Attributes:
        samples: tasks of which the suite takes only some samples.
        settings: options that the suite sets, by task and name, as typed after `--set`.
        fixture: runs on the shipped fixtures.
        overall: the rule of its Overall.
        overall_name: how reports call its Overall; empty for the rule's own word.
        reference: name of the table of published scores to compare with (`results/reference/NAME.csv`).
    """

    name: str
    tasks: tuple[str, ...]
    samples: Mapping[str, Choice] = field(default_factory=dict[str, Choice])
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    fixture: bool = False
    overall: Rule = "agenttuning"
    overall_name: str = ""
    reference: str = "agenttuning"

    def choice(self, task: str) -> Choice:
        """Which samples it takes of a task."""
        return self.samples.get(task, ALL)


@dataclass(frozen=True, slots=True)
class _Table:
    """A suite as `suites.toml` has it."""

    tasks: list[str]
    limit: dict[str, int] = field(default_factory=dict[str, int])
    ids: list[str] = field(default_factory=list[str])
    set: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    splits: dict[str, str] = field(default_factory=dict[str, str])
    fixture: bool = False
    overall: Rule | None = None
    overall_name: str | None = None
    reference: str | None = None


@cache
def load() -> Mapping[str, Suite]:
    """All suites by name: this package's, then others'; one that cannot be read is logged and left out."""
    suites = {
        name: _new(name, table, files("harness.catalog"))
        for name, table in _read(files("harness.catalog")).items()
    }
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        _add(suites, entry)
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


def _add(suites: dict[str, Suite], entry: EntryPoint) -> None:
    try:
        folder = files(entry.value)
        found = {name: _with(suites.get(name), name, table, folder) for name, table in _read(folder).items()}
    except (Exception, SystemExit) as error:  # code of a third party may raise anything
        log.warning("the suites of %s are left out, mend its suites.toml: %s", entry.value, error)
    else:
        suites.update(found)


def _with(known: Suite | None, name: str, table: _Table, folder: Traversable) -> Suite:
    return _new(name, table, folder) if known is None else _joined(known, table, folder)


def _read(folder: Traversable) -> dict[str, _Table]:
    import msgspec

    tables = tomllib.loads((folder / "suites.toml").read_text(encoding="utf-8"))
    known = {one.name for one in fields(_Table)}
    for name, table in tables.items():
        if unknown := set(table) - known:
            raise ValueError(f"[{name}] has unknown keys: {', '.join(sorted(unknown))}")
    return msgspec.convert(tables, dict[str, _Table])


def _new(name: str, table: _Table, folder: Traversable) -> Suite:
    given: dict[str, Any] = {key: told for key in OVERALL if (told := getattr(table, key))}
    _refuse_strangers(table.set, table.tasks)
    return Suite(name, tuple(table.tasks), _choices(name, table, folder), table.set, table.fixture, **given)


def _joined(suite: Suite, table: _Table, folder: Traversable) -> Suite:
    """A suite with the tasks that another package adds; its fixture, Overall and reference are kept."""
    own = ("fixture", *OVERALL)
    if refused := [key for key in own if getattr(table, key)]:
        raise ValueError(f"{suite.name} exists: tasks can be added to it, but not {', '.join(refused)}")
    _refuse_strangers(table.set, table.tasks)
    return replace(
        suite,
        tasks=tuple(dict.fromkeys([*suite.tasks, *table.tasks])),
        samples={**_choices(suite.name, table, folder), **suite.samples},
        settings={**table.set, **suite.settings},
    )


def _refuse_strangers(settings: Mapping[str, object], tasks: Iterable[str]) -> None:
    """Refuse options of a task that the same table does not name.

    Raises:
        ValueError: with the tasks.
    """
    if strangers := sorted(set(settings) - set(tasks)):
        raise ValueError(f"options are set of {', '.join(strangers)}, which `tasks` does not name")


def _choices(suite: str, table: _Table, folder: Traversable) -> dict[str, Choice]:
    return {
        task: Choice(
            _ids(folder, suite, task) if task in table.ids else None,
            table.limit.get(task),
            table.splits.get(task),
        )
        for task in dict.fromkeys([*table.limit, *table.ids, *table.splits])
    }


def _ids(folder: Traversable, suite: str, task: str) -> tuple[str, ...]:
    text = (folder / "ids" / suite / f"{task}.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))
