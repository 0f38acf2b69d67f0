"""Plays suspect tasks of a run once more, under another directory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from harness.errors import UsageError

REPLACED = frozenset({"--task", "--out", "--name", "--retry"})
"""Options of the run's own command that take a value and that the repetition sets itself or leaves out."""
DROPPED = frozenset({"--new", "--report", "--no-report", "--ready-only"})


def arguments(argv: Sequence[str], tasks: Collection[str], out: Path) -> list[str]:
    """The arguments of `harness run` that play these tasks of a run again.

    Args:
        argv: the command that made the run, as stored.
        tasks: names of the tasks.
        out: directory of the repetition.

    Raises:
        UsageError: the run does not say which command made it.
    """
    if len(argv) < 2 or argv[1] != "run":
        raise UsageError("the run does not say which command made it: use --confirm none or night")
    return [*_kept(argv[2:]), "--task", ",".join(tasks), "--out", str(out), "--no-report"]


def _kept(argv: Sequence[str]) -> Iterator[str]:
    skip = False
    for word in argv:
        if skip:
            skip = False
        elif word in REPLACED:
            skip = True
        elif word not in DROPPED and word.partition("=")[0] not in REPLACED:
            yield word


def rerun(argv: Sequence[str], tasks: Collection[str], out: Path) -> bool:
    """Play the tasks again; says whether the repetition is complete.

    Raises:
        UsageError: see `arguments`.
    """
    from harness.cli.run_command import command

    return command.main(arguments(argv, tasks, out), standalone_mode=False) == 0
