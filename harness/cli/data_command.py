"""`harness data`: what each benchmark's data is, and how to get it."""

from __future__ import annotations

from pathlib import Path

import click

from harness import data, registry
from harness.errors import HarnessError

MIRROR = click.option("--mirror", envvar="HARNESS_MIRROR", help="Folder with the data instead of the cache.")


@click.group("data")
def command() -> None:
    """List, pull, prepare and verify benchmark data."""


def _all(tasks: tuple[str, ...]) -> tuple[str, ...]:
    return tasks or (data.CORE, *registry.names())


@command.command("list")
@click.argument("tasks", nargs=-1)
@MIRROR
def list_files(tasks: tuple[str, ...], mirror: str | None) -> None:
    """Show the pinned files of TASKS (all when none is named) and whether they are there."""
    for task in _all(tasks):
        found = data.resolve(task, mirror)
        click.echo(f"{task}: {found.path}")
        for pin in data.pins(task).files:
            there = "ok" if (found.path / pin.path).is_file() else "optional" if pin.optional else "MISSING"
            how = "" if there != "MISSING" else f"  -> {pin.fix(task)}"
            click.echo(f"  {there:<9}{pin.kind:<8}{pin.size:>10}  {pin.path}  [{pin.licence}]{how}")


@command.command("pull")
@click.argument("tasks", nargs=-1)
def pull(tasks: tuple[str, ...]) -> int:
    """Fetch the files of TASKS that have an address into the cache; a broken fetch loses nothing."""
    from harness.data.fetch import pull as fetch

    failed = 0
    for task in _all(tasks):
        try:
            lines = fetch(task)
        except HarnessError as error:
            failed += 1
            click.echo(f"{task}: {error}", err=True)
            continue
        click.echo(f"{task}: {'complete' if not lines else 'still missing:'}")
        for line in lines:
            click.echo(f"  {line}")
    return 2 if failed else 0


@command.command("prepare")
@click.argument("task")
@click.option("--from", "source", required=True, type=click.Path(path_type=Path), help="What the user has.")
def prepare(task: str, source: Path) -> None:
    """Make TASK's derived files from a checkout, an archive or a download of yours."""
    from harness.data.fetch import prepare as make

    for path in make(task, source):
        click.echo(str(path))


@command.command("verify")
@click.argument("tasks", nargs=-1)
@MIRROR
def verify(tasks: tuple[str, ...], mirror: str | None) -> int:
    """Check the hashes of TASKS' files (of all tasks when none is named)."""
    bad = 0
    for task in _all(tasks):
        found = data.resolve(task, mirror)
        bad += bool(found.problems)
        click.echo(f"{task}: {'ok' if not found.problems else f'{len(found.problems)} problems'}")
        for line in found.problems:
            click.echo(f"  {line}")
    return 2 if bad else 0
