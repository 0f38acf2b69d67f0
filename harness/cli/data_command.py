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


@command.command("list")
@click.argument("tasks", nargs=-1)
@SPLIT
@MIRROR
def list_files(tasks: tuple[str, ...], split: str | None, mirror: str | None) -> None:
    """Show the pinned files of TASKS (all when none is named) and whether they are there."""
    for task in _all(tasks, split):
        found = data.resolve(task, mirror, split)
        echo(f"{task}: {found.path}")
        wanted = data.pins(task).of(split)
        for pin in wanted.files:
            there = wanted.place(found.path, pin).is_file()
            state = "ok" if there else "optional" if pin.optional else "MISSING"
            only = f"  ({', '.join(pin.splits)} only)" if pin.splits else ""
            how = f"  -> {pin.fix(task)}" if state == "MISSING" else ""
            echo(f"  {state:<9}{pin.kind:<8}{pin.size:>10}  {pin.name}  [{pin.licence}]{only}{how}")


@command.command("pull")
@click.argument("tasks", nargs=-1)
@SPLIT
def pull(tasks: tuple[str, ...], split: str | None) -> int:
    """Fetch the files of TASKS that have an address into the cache; a broken fetch loses nothing."""
    from harness.data.fetch import pull as fetch

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
@click.argument("task")
@click.option("--from", "source", required=True, type=click.Path(path_type=Path), help="What the user has.")
@click.option("--resume", is_flag=True, help="Go on from what an interrupted or failed call had made.")
def prepare(task: str, source: Path, *, resume: bool) -> None:
    """Make TASK's derived files from a checkout, an archive or a download of yours."""
    from harness.data.prepare import prepare as make

    with _progress() as tell:
        made = make(task, source, tell, resume=resume)
    for path in made:
        echo(str(path))


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
        echo(f"{task}: {'ok' if not found.problems else f'{len(found.problems)} problems'}")
        for line in found.problems:
            echo(f"  {line}")
    return 2 if bad else 0
