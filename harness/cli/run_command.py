"""`harness run`: from what was typed to a finished run and its report."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.errors import MissingPart, UsageError
from harness.running.plan import Plan, RunRequest
from harness.running.summary import Summary

log = logging.getLogger("harness.run")


def _names(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Accept repeated options and comma-separated lists alike."""
    return tuple(dict.fromkeys(name.strip() for part in value for name in part.split(",") if name.strip()))


def _shard(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    index, slash, count = value.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise click.BadParameter(f"{value!r}: write i/n with 1 <= i <= n, e.g. 2/8")
    return int(index), int(count)


UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd]?)", value.strip(), re.ASCII)
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not seconds:
        raise click.BadParameter(f"{value!r}: write a time above 0 such as 90, 90s, 30m, 5h or 1d")
    return seconds


OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--model", required=True, help="Entry of models.toml, oracle, replay:FILE, hf:PATH, NAME@openai."
    ),
    click.option(
        "--suite", "suites", multiple=True, callback=_names, help="Suite (repeatable; harness list suites)."
    ),
    click.option(
        "--task", "tasks", multiple=True, callback=_names, help="Task (repeatable or comma-separated)."
    ),
    click.option("--split", help="Split of the tasks; each task's own default otherwise."),
    click.option("--limit", type=click.IntRange(1), help="Only the first N samples of each task."),
    click.option("--samples", help="Only these sample ids, comma-separated."),
    click.option(
        "--repeats", type=click.IntRange(1), default=1, show_default=True, help="Episodes per sample."
    ),
    click.option("--endpoint", "endpoints", multiple=True, help="Base URL of a replica (repeatable)."),
    click.option("--role", "roles", multiple=True, help="Auxiliary model as ROLE=NAME@URL, or ROLE=self."),
    click.option("--judge", help="Judge inline with this model (NAME@URL)."),
    click.option("--out", type=click.Path(path_type=Path), help="Run directory."),
    click.option("--name", help="Keep this run apart from others of the same configuration."),
    click.option("--new", is_flag=True, help="Start another run of the same configuration."),
    click.option("--profile", type=click.Choice(["paper", "fixed"]), default="paper", show_default=True),
    click.option("--decoding", type=click.Choice(["protocol", "greedy", "released"]), default="protocol"),
    click.option(
        "--set", "settings", multiple=True, help="TASK.KEY=VALUE (harness list tasks NAME shows them)."
    ),
    click.option("--concurrency", type=click.IntRange(1), help="Most requests in flight."),
    click.option("--executor", type=click.Choice(["local", "ray"]), default="local"),
    click.option("--shard", callback=_shard, help="i/n: only the i-th of n parts of the plan."),
    click.option("--ready-only", is_flag=True, help="Run what is ready; the suite is then partial."),
    click.option("--retry", type=click.Choice(["infra"]), help="Retry only the infrastructure failures."),
    click.option("--seed", type=int, default=0, show_default=True),
    click.option("--mirror", envvar="HARNESS_MIRROR", help="Folder with the data, or 'fixture'."),
    click.option(
        "--request-deadline", "deadline_s", type=click.FloatRange(1), default=900.0, show_default=True
    ),
    click.option(
        "--time-limit",
        "time_limit_s",
        callback=_seconds,
        help="Start nothing later than this (90s, 30m, 5h, 1d); the same command resumes.",
    ),
)


def _with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(OPTIONS):
        function = option(function)
    return function


@click.command("run")
@_with_options
@click.option("--report/--no-report", "wanted", default=True, help="Print the report at the end.")
def command(*, wanted: bool, samples: str | None, retry: str | None, **chosen: Any) -> int:
    """Run benchmarks against a model; the same command resumes an interrupted run.

    Exit code: 0 complete, 2 usage or a missing part, 3 incomplete, 130 interrupted.
    """
    ids = tuple(part.strip() for part in samples.split(",") if part.strip()) if samples else None
    if chosen["mirror"] not in (None, "fixture"):
        os.environ["HARNESS_MIRROR"] = chosen[
            "mirror"
        ]  # shared files, such as a vocabulary, come from there too
    request = RunRequest(samples=ids, retry=retry or "", **chosen)  # type: ignore[arg-type]
    if request.executor == "ray":
        raise UsageError("--executor ray is not part of this version: use --shard i/n on several machines")
    summary = execute(request)
    if wanted and (summary.played or summary.already):
        from harness.cli.report_command import show_run

        show_run(summary.directory)
    return _close(summary)


def execute(request: RunRequest) -> Summary:
    """Plan, check, run.

    Raises:
        UsageError: with one line for everything that is missing.
    """
    from harness.running import plan as planning
    from harness.running.run_model import check_model
    from harness.storage import paths

    plan = planning.make(request)
    missing = [line for lines in plan.missing.values() for line in lines]
    stopping = (missing and not request.ready_only) or not plan.tasks
    if stopping or not plan.begun():
        # A run that is begun may be complete, and then needs no endpoint.
        absent = asyncio.run(check_model(request))
        if stopping or absent:
            lines = "\n  ".join([*missing, *absent])
            raise MissingPart(f"cannot run, nothing was sent:\n  {lines}{_ready_hint(plan)}")
    for line in missing:
        log.warning("left out: %s", line)
    directory = paths.new(plan.directory()) if request.new else plan.directory()
    try:
        with paths.hold(directory):
            return _played(plan, directory)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return Summary(directory, interrupted=True)


def _played(plan: Plan, directory: Path) -> Summary:
    from harness.running import plan as planning
    from harness.running.progress import for_terminal
    from harness.running.resume import open_store
    from harness.running.runner import Runner

    store = open_store(plan, directory)
    try:
        for line in planning.describe(plan):
            log.info(line)
        log.info("run directory: %s", directory)
        return asyncio.run(Runner(plan, store, directory, for_terminal()).run())
    finally:
        store.close()


def _ready_hint(plan: Plan) -> str:
    ready = [task.spec.name for task in plan.tasks] if plan.missing else []
    return f"\n--ready-only would run: {', '.join(ready)}" if ready else ""


def _close(summary: Summary) -> int:
    if summary.already:
        log.info("the run was complete already; --new or --name NAME starts another")
    for task, reason in summary.lost.items():
        log.error("%s did not run: %s", task, reason)
    if summary.stopped:
        log.error("stopped: %s", summary.stopped)
    if summary.incomplete and not summary.interrupted:
        log.error("incomplete: %s; the same command resumes", ", ".join(summary.incomplete))
    return summary.exit_code
