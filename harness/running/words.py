"""Reads what a command names - suites, tasks, options, roles - before a server or a file of data is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.catalog import registry, suites
from harness.episode import BaseTask, Task
from harness.errors import UsageError
from harness.models.roles import parse_role
from harness.running import selection
from harness.running.judge_stage import judge_role
from harness.running.members import is_installed, members_of
from harness.running.request import ModelChoice, Workload


@dataclass(frozen=True, slots=True)
class Named:
    """What the words of a command mean.

    Attributes:
        suites: the asked ones.
        members: names of the tasks to play.
        settings: options by task, as typed: what the suites set, and over it what the user sets.
        splits: what the suites take of each task that is there; None for its default, or where the user says.
        roles: names of the bound auxiliary models.
    """

    suites: tuple[suites.Suite, ...]
    members: tuple[str, ...]
    settings: dict[str, dict[str, str]]
    splits: dict[str, str | None]
    roles: tuple[str, ...]


def read(work: Workload, models: ModelChoice) -> Named:
    """Look up every name and value of a command.

    Raises:
        UsageError: an unknown name or a wrong value, or words that contradict each other.
    """
    models.sampling.check(models.model, models.decoding)
    asked = tuple(map(suites.find, work.suites))
    members = members_of(asked, [registry.named(word) for word in work.tasks])
    settings = _settings(asked, work, members)
    roles = tuple(parse_role(role).role for role in models.roles)
    if models.judge is not None:
        judge_role(models.judge)  # before anything is played, or an address with a password is stored
    tasks, splits = _loaded(members), dict[str, str | None]()
    for task in tasks:
        name = task.spec.name
        selection.options(name, task.Options, work.profile, settings[name])
        splits[name] = None if work.split else _suites_split(asked, name)
        selection.split(task.spec, work.split or splits[name])
    _refuse_unknown_roles(roles, tasks)
    refuse_judge(models.judge, tasks)
    return Named(asked, tuple(members), settings, splits, roles)


def _suites_split(asked: Sequence[suites.Suite], task: str) -> str | None:
    """The split that the suites take of a task; None for its default.

    Raises:
        UsageError: they take different ones, and a run has one.
    """
    found = {suite.choice(task).split: suite.name for suite in asked if task in suite.tasks}
    if len(found) > 1:
        taken = ", ".join(f"{name} its {split or 'default'}" for split, name in found.items())
        raise UsageError(
            f"the suites take different splits of {task} ({taken}): run one at a time, or give --split"
        )
    return next(iter(found), None)


def refuse_judge(judge: str | None, tasks: Sequence[Task]) -> None:
    """Refuse a judge where no task has answers for one.

    Raises:
        UsageError: so.
    """
    if judge is not None and tasks and all(type(task).resolve is BaseTask.resolve for task in tasks):
        named = ", ".join(task.spec.name for task in tasks)
        raise UsageError(f"--judge: no answer of {named} waits for a judge; leave it out")


def _loaded(names: Iterable[str]) -> list[Task]:
    """The tasks that are there; the plan tells of the others, each with its fix.

    Raises:
        UsageError: no task has such a name.
    """
    found: list[Task] = []
    for name in names:
        if is_installed(name):
            try:
                found.append(registry.load(name))
            except UsageError:
                continue
    return found


def _settings(
    asked: Sequence[suites.Suite], work: Workload, members: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Options by task: what the suites set, and over it what the user sets.

    Raises:
        UsageError: two suites set an option differently and the user does not, or as `selection.settings`.
    """
    chosen = selection.settings(work.settings, members)
    told: dict[tuple[str, str], tuple[str, str]] = {}
    for suite in asked:
        for task in (name for name in suite.settings if name in chosen):
            for key, value in suite.settings[task].items():
                first, other = told.setdefault((task, key), (value, suite.name))
                if first != value and key not in chosen[task]:
                    raise UsageError(
                        f"{other} sets {task}.{key}={first} and {suite.name} sets {value}: choose with --set"
                    )
    for (task, key), (value, _) in told.items():
        chosen[task].setdefault(key, value)
    return chosen


def _refuse_unknown_roles(roles: Sequence[str], tasks: Sequence[Task]) -> None:
    """Refuse a role that no installed task asks for: it is a typing error.

    Raises:
        UsageError: with the nearest roles.
    """
    known = {role for task in tasks for role in task.spec.roles}
    if set(roles) <= known:
        return
    known |= {role for task in _loaded(registry.names()) for role in task.spec.roles}
    for role in roles:
        if role not in known:
            raise registry.nearest(role, known, "role")
