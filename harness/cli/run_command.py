"""`harness run`: plans, checks and plays a run, and prints its report."""

from __future__ import annotations

import asyncio
import logging
import shlex
import sys
from collections.abc import Collection
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.failing import quiet
from harness.cli.grouping import grouped
from harness.cli.run_options import run_options
from harness.cli.screen import echo
from harness.errors import MissingPart, OtherModel, UsageError
from harness.models import outside
from harness.models.own import Given
from harness.running.plan import Plan
from harness.running.request import Execution, ModelChoice, RunRequest, Workload
from harness.running.sampling import Sampling
from harness.running.summary import Summary

if TYPE_CHECKING:
    from harness.models.api import Model
    from harness.models.sampling import Ignored
    from harness.running.ray_executor.cluster import Cluster

log = logging.getLogger("harness.run")


@click.command("run")
@run_options
@click.option("--yes", is_flag=True, help="Do not ask before more than 10,000 requests.")
@click.option("--report/--no-report", "wanted", default=True, help="Print the report at the end.")
@grouped(given=Given, sampling=Sampling, workload=Workload, models=ModelChoice, execution=Execution)
def command(*, workload: Workload, models: ModelChoice, execution: Execution, wanted: bool, yes: bool) -> int:
    """Run benchmarks against a model; the same command resumes an interrupted run.

    Exit code: 0 complete, 2 usage or a missing part, 3 incomplete, 130 interrupted.
    """
    from harness.running import words

    words.read(workload, models)  # what is wrong in them is told at once, whether or not a server answers
    if execution.executor == "ray":
        from harness.running.ray_executor import cluster

        cluster.check(execution.ray_address, models.model)
    else:
        _refuse_words_of_ray(click.get_current_context())
    from harness.models.clients.probe import surveyed
    from harness.models.clients.recognise import recognise
    from harness.models.local.loading import loaded_models

    try:
        with loaded_models.kept(), surveyed.kept():
            found = recognise(models.model, models.endpoints, models.given, models.sampling.max_new_tokens)
            models = replace(models, model=found.model, endpoints=found.endpoints, given=found.given)
            request = RunRequest(workload, models, execution)
            summary = execute(request, yes=yes)
    except OtherModel as error:
        raise UsageError(f"{error}{_renamed(models.model, error)}") from error
    if wanted and (summary.played or summary.already):
        try:
            _show(request, summary)
        except BrokenPipeError:  # whoever read it has left, and the run ends as it ended all the same
            quiet()
    return _close(summary, execution)


def _refuse_words_of_ray(ctx: click.Context) -> None:
    """What is typed for a cluster must not end as a run on this machine; a variable may stand anywhere."""
    for name, word in (("ray_address", "--ray-address"), ("workers", "--workers")):
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"{word} is for --executor ray: give that as well, or leave {word} out")


def execute(request: RunRequest, *, yes: bool = True) -> Summary:
    """Plan, check, run; without `yes` a person at a terminal is asked before very many requests.

    Raises:
        UsageError: with one line for everything that is missing.
    """
    from harness.running import plan as planning
    from harness.running.run_model import check_model
    from harness.storage import paths

    plan = planning.make(request)
    missing = [line for lines in plan.missing.values() for line in lines]
    ignored: list[Ignored] = []
    stopping = (missing and not request.execution.ready_only) or not plan.tasks
    fresh = not plan.begun()
    if fresh and request.execution.retry:
        raise UsageError(f"there is no run in {plan.directory()} to retry; leave out --retry to begin it")
    if stopping or fresh:
        # A run that is begun may be complete, and then needs no endpoint.
        absent = asyncio.run(check_model(request, plan.ranked(), drawn=plan.drawn(), found=ignored))
        if stopping or absent:
            lines = "\n  ".join([*missing, *absent])
            raise MissingPart(f"cannot run, nothing was sent:\n  {lines}{_ready_hint(plan)}")
    for line in missing:
        log.warning("left out: %s", line)
    directory = paths.new(plan.directory()) if request.execution.new else plan.directory()
    try:
        with paths.hold(directory):
            return _played(plan, directory, ignored, checked=fresh, yes=yes)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return Summary(directory, interrupted=True)


def _show(request: RunRequest, summary: Summary) -> None:
    from harness.cli.demo_text import after
    from harness.cli.report_command import show_run
    from harness.report.load import FILE

    if not (summary.directory / FILE).is_file():
        return  # it was moved or deleted, as is told at the end
    report = show_run(summary.directory)
    for line in after(request, report):
        echo(line)


def _played(plan: Plan, directory: Path, ignored: list[Ignored], *, checked: bool, yes: bool) -> Summary:
    from harness.running import patience
    from harness.running.estimate import estimate
    from harness.running.identity import refuse_other
    from harness.running.plan_text import describe
    from harness.running.progress_live import for_terminal
    from harness.running.resume import open_store, plain_json, remaining_items
    from harness.running.run_model import check_model
    from harness.running.runner import Runner
    from harness.storage.mounts import network_kind

    with closing(open_store(plan, directory)) as store:
        remaining = remaining_items(plan, store)
        if not checked and remaining:

            def same(model: Model) -> None:
                refuse_other(store, plain_json(dict(model.info)), directory)

            absent = asyncio.run(
                check_model(plan.request, plan.ranked(), same, drawn=plan.drawn(), found=ignored)
            )
            if absent:
                raise MissingPart("\n  ".join(["cannot go on, nothing was sent:", *absent]))
        if ignored:
            log.warning("the server ignores %s", ", ".join(map(str, ignored)))
            store.set_meta("ignored", [str(one) for one in ignored])
        for line in describe(plan):
            log.info(line)
        log.info("run directory: %s", directory)
        if kind := network_kind(directory):
            log.warning(
                "%s is on a network file system (%s): until this command has ended, read and copy the run "
                "on this machine only, or give --out on a local disk",
                directory,
                kind,
            )
        cost = estimate(plan, remaining)
        if cost.many:
            log.warning("%s", cost)
            if not yes and sys.stdin.isatty() and sys.stderr.isatty():
                click.confirm("go on?", abort=True, err=True)
        with _executor(plan, remaining) as cluster:
            return patience.run(Runner(plan, store, directory, for_terminal(), cluster).run(remaining))


def _executor(plan: Plan, remaining: Collection[object]) -> AbstractContextManager[Cluster | None]:
    execution = plan.request.execution
    if execution.executor == "local" or not remaining:
        return nullcontext()
    from harness.running.ray_executor.cluster import joined

    return joined(execution.ray_address, execution.workers)


def _ready_hint(plan: Plan) -> str:
    ready = [task.spec.name for task in plan.tasks] if plan.missing else []
    return f"\n--ready-only would run: {', '.join(ready)}" if ready else ""


def _renamed(model: str, error: OtherModel) -> str:
    """This command, with the served model under its own name; empty when a role's model was refused."""
    if error.selector != model:
        return ""
    words = [error.named if word == model else word for word in sys.argv[1:]]
    words = [f"--model={error.named}" if word == f"--model={model}" else word for word in words]
    return f"\n  harness {outside.shown(shlex.join(words))}"


def _close(summary: Summary, execution: Execution) -> int:
    if summary.already and execution.retry:
        log.info("nothing to retry: no episode of this run failed for infrastructure")
    elif summary.empty:
        log.warning("this shard has no episodes: --shard i/n divides them into more parts than there are")
    elif summary.already:
        log.info("the run was complete already; --new or --name NAME starts another")
    for task, reason in summary.lost.items():
        log.error("%s did not run: %s", task, reason)
    if summary.stopped:
        log.error("stopped: %s", summary.stopped)
    if summary.incomplete and not summary.interrupted:
        log.error("incomplete: %s; the same command resumes", ", ".join(summary.incomplete))
    if summary.unjudged and not summary.interrupted:
        how = f"harness judge {summary.directory} --judge NAME@URL"
        log.error("answers of %s wait for a judge: %s", ", ".join(summary.unjudged), how)
    if summary.unembedded and not summary.interrupted:
        how = f"harness judge {summary.directory} --role embedder=NAME@URL"
        log.info("some numbers of %s wait for an embedder: %s", ", ".join(summary.unembedded), how)
    if summary.interrupted:
        how = f" with --out {summary.directory} in place of --new" if execution.new else ""
        log.error("interrupted; the same command%s resumes", how)
    return summary.exit_code
