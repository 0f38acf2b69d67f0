"""Which tasks a command names: by suite, by name, or by name within suites."""

from __future__ import annotations

from collections.abc import Sequence

from harness.catalog import registry, suites
from harness.errors import UsageError


def members_of(asked: Sequence[suites.Suite], named: Sequence[str]) -> list[str]:
    """The tasks to play: the named ones, of the asked suites where there are any.

    Raises:
        UsageError: there is none, or a named task is in none of the suites.
    """
    whole = list(dict.fromkeys(name for suite in asked for name in suite.tasks))
    if not asked or not named:
        members = list(dict.fromkeys([*whole, *named]))
        if not members:
            raise UsageError("nothing to run: give --suite or --task (harness list tasks shows them)")
        return members
    names = ", ".join(suite.name for suite in asked)
    if outside := [name for name in named if name not in whole]:
        for name in outside:
            is_installed(name)  # raises the error that suggests the nearest names
        both = ",".join([*whole, *outside])
        raise UsageError(
            f"{', '.join(outside)} is not in {names}: --suite with --task plays these tasks of the suite; "
            f"to play both give --task {both} without --suite, or run them one after the other"
        )
    return [name for name in whole if name in named]


def is_installed(name: str) -> bool:
    """Whether a task is there; one that only a suite names is not.

    Raises:
        UsageError: no task has such a name, with the nearest ones.
    """
    known = registry.names()
    if name not in known and name not in suites.all_members():
        raise registry.nearest(name, known, "task")
    return name in known
