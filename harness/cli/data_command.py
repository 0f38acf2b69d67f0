"""`harness data`: what each benchmark's data is, and how to get it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click

from harness import data
from harness.catalog import registry
from harness.cli.screen import echo
from harness.errors import HarnessError, UsageError
from harness.storage.words import counted

MIRROR = click.option("--mirror", envvar="HARNESS_MIRROR", help="Folder with the data instead of the cache.")
SPLIT = click.option("--split", help="Only the files that this split of TASKS reads.")


@click.group("data")
def command() -> None:
    """List, pull, prepare and verify benchmark data."""


def _all(tasks: tuple[str, ...], split: str | None) -> tuple[str, ...]:
    """The tasks that are meant; a split must be one of each."""
    if split is None:
        return tasks or (data.CORE, *registry.names())
    if not tasks:
        raise UsageError("--split needs the names of the tasks that have it")
    for task in tasks:
        splits = registry.load(task).spec.splits
        if split not in splits:
            raise registry.nearest(split, splits, f"split of {task}")
        data.pins(task, splits)
    return tasks


@command.command("status")
@MIRROR
def status(mirror: str | None) -> None:
    """Show on one screen which tasks have their data, and the commands that bring the rest."""
    from harness.cli.data_status import screen

    for line in screen(mirror):
        echo(line)


@command.command("list")
@click.argument("tasks", nargs=-1)
@SPLIT
@MIRROR
@click.option("-v", "--verbose", is_flag=True, help="Every file with its licence.")
def list_files(tasks: tuple[str, ...], split: str | None, mirror: str | None, *, verbose: bool) -> None:
    """Show the pinned files of TASKS (all when none is named) and whether they are there."""
    from harness.cli.data_status import files

    for task in _all(tasks, split):
        for line in files(task, mirror, split, verbose=verbose):
            echo(line)


@command.command("pull")
@click.argument("tasks", nargs=-1)
@SPLIT
@click.option("--all", "everything", is_flag=True, help="All tasks (as when none is named).")
def pull(tasks: tuple[str, ...], split: str | None, *, everything: bool) -> int:
    """Fetch the files of TASKS that have an address into the cache; a broken fetch loses nothing."""
    from harness.data.fetch import pull as fetch

    _not_both(tasks, everything=everything)
    failed = 0
    for task in _all(tasks, split):
        try:
            lines = fetch(task, split)
        except HarnessError as error:
            failed += 1
            echo(f"{task}: {error}", err=True)
            continue
        echo(f"{task}: {'complete' if not lines else 'still missing:'}")
        for line in lines:
            echo(f"  {line}")
    return 2 if failed else 0


@command.command("prepare")
@click.argument("tasks", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every task that something usable is found for.")
@click.option(
    "--from",
    "sources",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="A checkout, archive or download, or a folder that has some (repeatable).",
)
@click.option("--resume", is_flag=True, help="Go on from what an interrupted or failed call had made.")
def prepare(tasks: tuple[str, ...], sources: tuple[Path, ...], *, everything: bool, resume: bool) -> int:
    """Make the derived files of TASKS from what you have: checkouts, archives, downloads.

    Exit code: 0, or 2 when a source that was found could not be used.
    """
    from harness.data.ready import make_ready, prepare_from

    _not_both(tasks, everything=everything)
    if len(tasks) == 1:
        with _progress() as tell:
            made = prepare_from(tasks[0], sources, tell, resume=resume)
        for path in made:
            echo(str(path))
        return 0
    if not tasks and not everything:
        raise UsageError("name the tasks to prepare, or give --all")
    with _progress() as tell:
        results = make_ready(tasks or (data.CORE, *registry.names()), sources, tell, resume=resume)
    for task, made in results.items():
        ready = "ready" if not made.left else f"still missing {made.left[0]}"
        echo(f"{task}: {ready}" + (f" ({len(made.files)} files made)" if made.files else ""))
        for line in made.failures:
            echo(f"  {line}", err=True)
    return 2 if any(made.failures for made in results.values()) else 0


def _not_both(tasks: tuple[str, ...], *, everything: bool) -> None:
    if tasks and everything:
        raise UsageError(f"--all means every task: leave out {' '.join(tasks)}, or --all")


@contextmanager
def _progress() -> Generator[data.Tell]:
    """A bar on a terminal; in a log, nothing: the files are listed at the end."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        work = bar.add_task("preparing", total=None)

        def tell(done: int, total: int | None, what: str) -> None:
            bar.update(work, completed=done, total=total, description=escape(what))

        yield tell


@command.command("verify")
@click.argument("tasks", nargs=-1)
@SPLIT
@MIRROR
def verify(tasks: tuple[str, ...], split: str | None, mirror: str | None) -> int:
    """Check the hashes of TASKS' files (of all tasks when none is named)."""
    bad = 0
    for task in _all(tasks, split):
        found = data.resolve(task, mirror, split)
        bad += bool(found.problems)
        echo(f"{task}: {counted(len(found.problems), 'problem') if found.problems else 'ok'}")
        for line in found.problems:
            echo(f"  {line}")
    return 2 if bad else 0
