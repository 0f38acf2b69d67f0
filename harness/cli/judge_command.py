"""`harness judge`: judges the answers of a run that wait for it; needs no model under test."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from harness.errors import UsageError

log = logging.getLogger("harness.judge")


@click.command("judge")
@click.argument("run", required=False)
@click.option(
    "--judge", required=True, help="NAME@URL of an OpenAI-compatible server, or a models.toml entry."
)
@click.option("--k", type=click.IntRange(1), default=1, show_default=True, help="Judgings of each answer.")
@click.option("--concurrency", type=click.IntRange(1), default=16, show_default=True)
@click.option("--mirror", envvar="HARNESS_MIRROR", help="Folder with the data, or 'fixture'.")
@click.option("--results", type=click.Path(path_type=Path), default=Path("results/runs"), show_default=True)
def command(run: str | None, judge: str, k: int, concurrency: int, mirror: str | None, results: Path) -> int:
    """Judge RUN (the newest when none is given); the same command resumes and asks only what is missing.

    Exit code: 0 when every answer has its verdict, 3 otherwise.
    """
    from harness.cli.report_command import show_run
    from harness.report.load import find

    directory = find(run, results)
    waiting = judge_directory(directory, judge, k=k, concurrency=concurrency, mirror=mirror)
    show_run(directory)
    return 3 if waiting else 0


def judge_directory(directory: Path, judge: str, *, k: int, concurrency: int, mirror: str | None) -> int:
    """Judge a run directory; returns how many episodes still wait."""
    from harness import rundir
    from harness.report.load import FILE
    from harness.scratch import scratch
    from harness.store import Store

    with rundir.hold(directory), scratch("harness-judge-") as work, closing(Store(directory / FILE)) as store:
        tasks = _judged_tasks(store, mirror, work)
        return asyncio.run(_judge(store, tasks, judge, k, concurrency))


async def _judge(store: Any, tasks: Mapping[str, Any], judge: str, k: int, concurrency: int) -> int:
    from harness.judge import judge_run
    from harness.models.roles import BoundChat, open_role, parse_role

    role = parse_role(f"judge={judge}")
    if role.selector == "self":
        raise UsageError("--judge self: a model does not judge itself; give NAME@URL")
    async with open_role(role, concurrency=concurrency) as model:
        done = await judge_run(
            store,
            tasks,
            lambda key: BoundChat("judge", model, key),
            judge=role.selector,
            k=k,
            concurrency=concurrency,
        )
    log.info("%d calls to %s, %d verdicts were there", done.tally.asked, role.selector, done.tally.stored)
    if done.tally.stopped:
        log.error("stopped: %s", done.tally.stopped)
    return done.waiting


def _judged_tasks(store: Any, mirror: str | None, work: Path) -> dict[str, Any]:
    """The run's tasks whose answers wait for or have a judge, with their contexts."""
    from harness import data, registry
    from harness.types import Context

    config = store.meta("config")
    names = {a.item.task for a in store.attempts(final_only=True) if a.pending is not None}
    if not names:
        raise UsageError("nothing in this run waits for a judge")
    tasks: dict[str, Any] = {}
    for name in sorted(names):
        chosen = config["tasks"][name]
        found = data.resolve(name, data.FIXTURE if chosen["source"] == "fixture" else mirror)
        if found.problems:
            raise UsageError("\n".join(found.problems))
        options, profile = chosen["options"], config["profile"]
        ctx = Context(found.path, work, config["seed"], options, {}, profile, found.source)
        tasks[name] = (registry.load(name), ctx)
    return tasks
