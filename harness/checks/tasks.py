"""What a task has and lacks on this machine, each lack with its fix."""

from __future__ import annotations

from collections.abc import Mapping

from harness.catalog import registry
from harness.errors import HarnessError
from harness.running import readiness
from harness.running.readiness import Finding
from harness.types import Profile


def doctor_task(
    task: str,
    *,
    mirror: str | None = None,
    split: str | None = None,
    profile: Profile = "paper",
    settings: Mapping[str, str] | None = None,
    roles: frozenset[str] = frozenset(),
) -> dict[str, list[Finding]]:
    """Check a task's programs, packages, keys, roles and data, split by split.

    Args:
        task: its name, or `core` for the files several tasks use.
        mirror: as for `harness run`.
        split: only this one; None checks all, the one that runs by default first.
        profile: as for `harness run`.
        settings: options the user set, by name, as typed.
        roles: names of the bound auxiliary models.

    Raises:
        UsageError: no such task, split or option, with the nearest names.
    """
    if task == readiness.CORE:
        return {"": readiness.check_core(mirror)}
    if task not in registry.names():
        raise registry.nearest(task, registry.names(), "task")
    try:
        splits = registry.load(task).spec.splits
    except HarnessError as error:
        return {"": [Finding("fail", task, str(error), "reinstall the package it comes from")]}
    found: dict[str, list[Finding]] = {}
    for name in (split,) if split else splits:
        chosen = readiness.TaskChoices(
            settings=settings or {}, profile=profile, mirror=mirror, split=name, roles=roles
        )
        found[name] = list(readiness.check(task, chosen).findings)
    if readiness.has_unused_fixture(task, mirror):
        hint = Finding("ok", "fixture", "there (--mirror fixture runs without any data)")
        next(iter(found.values())).append(hint)
    return found
