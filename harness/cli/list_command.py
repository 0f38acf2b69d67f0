"""`harness list`: what there is to run, and what has been run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click

from harness.catalog import registry, suites
from harness.cli.common_options import RESULTS
from harness.cli.screen import echo
from harness.errors import UsageError
from harness.running.selection import shown
from harness.types import Option, TaskSpec
from harness.types.options import declared


@click.group("list")
def command() -> None:
    """List tasks, suites, models or runs."""


@command.command("tasks")
@click.argument("name", required=False)
def tasks(name: str | None) -> None:
    """Show all tasks, or one with its options under both profiles."""
    if name is not None:
        task = registry.load(registry.named(name))
        for line in _one(task.spec, declared(task.Options)):
            echo(line)
        return
    for known in registry.names():
        try:
            spec = registry.load(known).spec
        except UsageError as error:
            echo(f"{known:<16}{error}")
            continue
        echo(f"{spec.name:<16}{spec.suite:<10}v{spec.version}  {spec.metric} ({spec.unit})")
    for absent in sorted(suites.all_members() - set(registry.names())):
        echo(f"{absent:<16}not part of this version")


def _one(spec: TaskSpec, options: Sequence[Option]) -> list[str]:
    lines = [
        f"{spec.name} v{spec.version}, {spec.suite}: {spec.metric} in {spec.unit}",
        f"splits: {', '.join(spec.splits)} · at most {spec.limits.turns} turns · history: {spec.history}",
    ]
    for (profile, source), ceiling in sorted(spec.ceiling.items()):
        lines.append(f"oracle on {source}, {profile}: {ceiling:g}")
    if spec.roles:
        lines.append(f"roles: {', '.join(spec.roles)}")
    if options:
        lines.append(f"{'option':<22}{'paper':<16}{'fixed':<16}meaning")
    lines += [_option(spec.name, option) for option in options]
    return lines


def _option(task: str, option: Option) -> str:
    choices = f" [{', '.join(shown(c) for c in option.choices)}]" if option.choices else ""
    bounds = f" ({option.bounds})" if option.bounds else ""
    name = f"{task}.{option.name}"
    return f"{name:<22} {shown(option.paper):<15} {shown(option.fixed):<15} {option.help}{choices}{bounds}"


@command.command("suites")
def list_suites() -> None:
    """Show all suites with their tasks."""
    for suite in suites.load().values():
        taken = " ".join(_taken(suite, task) for task in suite.tasks)
        echo(f"{suite.name:<18}{taken}{' (fixtures)' if suite.fixture else ''}")


def _taken(suite: suites.Suite, task: str) -> str:
    """A member of a suite, with the split it takes where that is not the task's default."""
    split = suite.choice(task).split
    return f"{task}/{split}" if split else task


@command.command("models")
def models() -> None:
    """Show the entries of models.toml."""
    from harness.catalog import models as catalog

    for name, entry in catalog.load().items():
        echo(f"{name:<22}{entry.kind:<8}{entry.template:<16}{' '.join(entry.endpoints)}")


@command.command("runs")
@RESULTS
def runs(results: Path) -> None:
    """Show run directories, newest first, with how far they are."""
    from harness.storage.store import Store

    found = sorted(results.glob("*/run.sqlite"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found:
        with closing(Store(path, readonly=True)) as store:
            ended, planned = store.counts()
        echo(f"{path.parent.name:<60} {ended}/{planned}")
    if not found:
        echo(f"no runs under {results}")
