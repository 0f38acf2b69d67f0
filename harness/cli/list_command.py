"""`harness list`: what there is to run, and what has been run."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import click

from harness import data
from harness.catalog import registry, suites
from harness.cli.common_options import MIRROR, RESULTS
from harness.cli.data_status import state
from harness.cli.screen import echo
from harness.errors import UsageError
from harness.running.selection import shown
from harness.storage.words import counted
from harness.types import Option, TaskSpec
from harness.types.options import declared

COLUMNS, SHORTEST = 100, 40
"""Width of a table of options; that of their meanings, where names are long."""


@click.group("list")
def command() -> None:
    """List tasks, suites, models or runs."""


@command.command("tasks")
@click.argument("name", required=False)
@MIRROR
def tasks(name: str | None, mirror: str | None) -> None:
    """Show all tasks with whether their data is here, or one with its options under both profiles."""
    if name is not None:
        task = registry.load(registry.named(name))
        for line in _one(task.spec, declared(task.Options)):
            echo(line)
        return
    rows = [("task", "suite", "metric", "samples", "data", "what it is")]
    rows += [_summary(known, mirror) for known in registry.names()]
    _columns(rows)
    for absent in sorted(suites.all_members() - set(registry.names())):
        echo(f"{absent}: not part of this version")


def _summary(name: str, mirror: str | None) -> tuple[str, ...]:
    """A task's line; the samples are those behind the published score, the data that of the default split."""
    try:
        task = registry.load(name)
    except UsageError as error:
        return name, "", "", "", "", str(error)
    spec, about = task.spec, (type(task).__doc__ or "").partition("\n")[0]
    there = state(name, data.resolve(name, mirror, spec.splits[0]))
    metric = spec.metric if spec.unit == "percent" else f"{spec.metric} ({spec.unit})"
    return f"{name} v{spec.version}", spec.suite, metric, f"{spec.paper_n or '—':>7}", there, about


def _one(spec: TaskSpec, options: Sequence[Option]) -> list[str]:
    turns = counted(spec.limits.turns, "turn")
    lines = [
        f"{spec.name} v{spec.version}, {spec.suite}: {spec.metric} in {spec.unit}",
        f"splits: {', '.join(spec.splits)} · at most {turns} · history: {spec.history}",
    ]
    for (profile, source), ceiling in sorted(spec.ceiling.items()):
        lines.append(f"the oracle reaches {ceiling:.4g} {spec.unit} on {source}, {profile}")
    if spec.roles:
        lines.append(f"roles: {', '.join(spec.roles)}")
    return [*lines, *_options(spec.name, options)] if options else lines


def _options(task: str, options: Sequence[Option]) -> Iterator[str]:
    """A table of options, whose last column is broken between words."""
    rows = [("option", "paper", "fixed", "meaning")]
    for option in options:
        choices = f" [{', '.join(shown(c) for c in option.choices)}]" if option.choices else ""
        bounds = f" ({option.bounds})" if option.bounds else ""
        values = shown(option.paper), shown(option.fixed)
        rows.append((f"{task}.{option.name}", *values, f"{option.help}{choices}{bounds}"))
    sizes = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    for *cells, meaning in rows:
        left = "".join(f"{cell:<{size}}  " for cell, size in zip(cells, sizes, strict=True))
        wrapped = textwrap.wrap(meaning, max(COLUMNS - len(left), SHORTEST), break_on_hyphens=False)
        for text in wrapped or [""]:
            yield f"{left}{text}".rstrip()
            left = " " * len(left)


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

    rows = [("model", "kind", "template", "served as", "expected at")]
    rows += [
        (name, one.kind, one.template, one.served or "anything", " ".join(one.endpoints))
        for name, one in catalog.load().items()
    ]
    _columns(rows)


@command.command("runs")
@RESULTS
def runs(results: Path) -> None:
    """Show run directories, newest first: when, with which model, of what, how far they are, their scores."""
    from harness.storage.store import Store

    found = sorted(results.glob("*/run.sqlite"), key=lambda path: path.stat().st_mtime, reverse=True)
    rows: list[tuple[str, ...]] = [
        ("run", "last written (UTC)", "model", "suites or tasks", "episodes", "scores")
    ]
    for path in found:
        with closing(Store(path, readonly=True)) as store:
            ended, planned = store.counts()
            config = cast("Mapping[str, Any]", store.meta("config") or {})
        when = f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%d %H:%M}"
        what = " ".join(config.get("suites") or config.get("tasks") or ())
        model, progress = str(config.get("model", "")), f"{ended}/{planned}"
        rows.append((path.parent.name, when, model, what, progress, _scores(path.parent)))
    if found:
        _columns(rows)
    else:
        echo(f"no runs under {results}")


def _scores(run: Path) -> str:
    """The score of each task; in brackets what an incomplete one has so far."""
    from harness.report.build import scores
    from harness.report.load import load

    parts: list[str] = []
    for task, (score, interim) in scores(load(str(run))).items():
        if (number := score if score is not None else interim) is not None:
            parts.append(f"{task} {number:.2f}" if score is not None else f"{task} ({number:.2f})")
    return " ".join(parts) or "—"


def _columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in aligned columns, the first one being their names."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
