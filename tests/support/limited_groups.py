"""Control groups with one kind of limit, for processes of tests that are to run short of something."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tasks._shared.sandbox import cgroups
from tasks._shared.sandbox.spec import Caps


@contextmanager
def group(kind: str, **caps: int) -> Iterator[cgroups.Group]:
    """A control group with one kind of limit, removed with all that is in it."""
    layout, reason = cgroups.discover()
    if layout is None:
        pytest.skip(reason)
    whole = layout.group(f"{cgroups.owner_prefix()}limits", Caps(**caps))
    limits = tuple((file, value) for file, value in whole.limits if file.name.startswith(kind))
    made = cgroups.Group(tuple(dict.fromkeys(file.parent for file, _ in limits)), limits)
    assert made.folders
    made.make()
    try:
        cgroups.write_limits(made.limits)
        yield made
        inner = [str(path) for folder in made.folders for path in folder.glob("harness-*")]
        assert not inner, "control groups were left in it"
    finally:
        assert asyncio.run(made.remove())


def inside(made: cgroups.Group, argv: list[str]) -> list[str]:
    """The words of a command that begins in a control group."""
    into = " ".join(str(folder / "cgroup.procs") for folder in made.folders)
    return ["sh", "-c", f'echo $$ | tee {into} > /dev/null; exec "$@"', "sh", *argv]


def join(pid: int, into: cgroups.Group) -> None:
    """Move a process into a control group."""
    for folder in into.folders:
        (folder / "cgroup.procs").write_text(str(pid))
