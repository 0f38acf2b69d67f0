"""`harness gate`: fails when a run is worse than its baseline."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.cli.common_options import ALPHA, MIN_EFFECT, RESULTS
from harness.cli.grouping import grouped
from harness.cli.run_options import names
from harness.cli.screen import echo
from harness.decisions.levels import Levels
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.decisions.baseline_file import Baseline
    from harness.decisions.gate import GateVerdict
    from harness.decisions.saving import Run

FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What the gate reads and writes."""

    save: Path | None
    replace: bool
    baseline: Path | None
    ledger: Path | None
    junit: Path | None
    flips: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is judged, and how a regression is confirmed."""

    tasks: tuple[str, ...]
    confirm: Literal["none", "rerun", "night"]


@click.command("gate")
@click.argument("runs", nargs=-1, required=True)
@click.option("--save", type=FILE, help="Write RUNS, pooled, as a baseline.")
@click.option("--replace", is_flag=True, help="Let --save write over an existing file.")
@click.option("--baseline", type=FILE, help="Judge RUN by this baseline.")
@click.option(
    "--confirm", type=click.Choice(["none", "rerun", "night"]), default="none", show_default=True,
    help="rerun: play suspect tasks once more; night: red only on the second night in a row (--ledger).",
)  # fmt: skip
@click.option("--tasks", multiple=True, callback=names, help="Only these tasks (comma-separated).")
@ALPHA
@MIN_EFFECT
@click.option("--ledger", type=FILE, help="Append the night to this file of JSON lines.")
@click.option("--junit", type=FILE, help="Write the verdict as JUnit XML.")
@click.option("--flips", type=FILE, help="Write the changed samples' episodes, a store of 50 MB at most.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@RESULTS
@grouped(files=Files, judged=Judged, levels=Levels)
def command(
    runs: tuple[str, ...], form: str, results: Path, *, files: Files, judged: Judged, levels: Levels
) -> int:
    """Save RUNS as a baseline, or judge RUN by one.

    Exit code: 0 pass, 4 regression, 3 no verdict, 2 not comparable. In GitHub Actions the verdict is also
    written as annotations and to the job's summary.
    """
    if (files.save is None) == (files.baseline is None):
        raise UsageError("give --save FILE to make a baseline of RUNS, or --baseline FILE to judge RUN by it")
    loaded = [_load(name, results, judged.tasks) for name in runs]
    if files.save is not None:
        return _save(loaded, files.save, replace=files.replace)
    name, *more = runs
    if more:
        raise UsageError("the gate judges one run: give one RUN with --baseline")
    verdict = _verdict(loaded[0], results, files, judged, levels)
    _write(verdict, loaded[0], name, results, files)
    _print(verdict, form)
    return verdict.exit_code


def _load(name: str, results: Path, tasks: Sequence[str]) -> Run:
    from harness.decisions import run_facts
    from harness.report.load import load

    data, facts = load(name, results), run_facts.read(name, results)
    kept = {task: found for task, found in data.tasks.items() if not tasks or task in tasks}
    return replace(data, tasks=kept), facts


def _save(runs: Sequence[Run], path: Path, *, replace: bool) -> int:
    from harness.decisions import baseline_file, saving

    if not all(data.tasks for data, _ in runs):
        raise UsageError("a run has none of the --tasks: harness report shows what it has")
    baseline = saving.pool(runs)
    baseline_file.write(baseline, path, replace=replace)
    samples = sum(len(task.samples) for task in baseline.tasks.values())
    echo(f"{path}: {len(baseline.tasks)} tasks, {samples} samples, {len(runs)} runs")
    for name, task in baseline.tasks.items():
        sees = ", ".join(f"{drop} points on {100 * share:.0f} %" for drop, share in task.power.items())
        echo(f"  {name}: a drop of {sees} of nights" if sees else f"  {name}: no values, it is not judged")
    if len(runs) == 1:
        echo(
            "one run only: its luck stays for every later night, and the numbers above assume that 10 % of "
            "samples change from run to run; three runs or more make a better baseline"
        )
    return 0


def _verdict(run: Run, results: Path, files: Files, judged: Judged, levels: Levels) -> GateVerdict:
    from harness.decisions import baseline_file, confirming, gate, ledger

    assert files.baseline is not None
    baseline = baseline_file.read(files.baseline)
    if judged.tasks:
        baseline = confirming.only(baseline, judged.tasks)
    if judged.confirm == "night" and files.ledger is None:
        raise UsageError("--confirm night needs --ledger FILE, which remembers the night before")
    verdict = gate.judge([run], baseline, levels)
    found = [task.task for task in verdict.of("regression")]
    if found and judged.confirm == "night" and files.ledger is not None:
        before = ledger.suspects(ledger.read(files.ledger), verdict.model)
        return confirming.by_night(verdict, before)
    if found and judged.confirm == "rerun":
        return _confirmed(run, results, verdict, baseline)
    return verdict


def _confirmed(run: Run, results: Path, verdict: GateVerdict, baseline: Baseline) -> GateVerdict:
    """Play the suspect tasks once more, and judge both runs together."""
    from harness.cli.gate_rerun import rerun
    from harness.decisions import confirming, gate

    data, facts = run
    tasks = [task.task for task in verdict.of("regression")]
    out = results / f"{data.run}-confirm"
    echo(f"suspect: {', '.join(tasks)}; playing once more: {out}", err=True)
    if not rerun(facts.argv, tasks, out):
        return confirming.unconfirmed(
            verdict, f"the repetition {out} is incomplete: the same command resumes it"
        )
    return gate.judge([run, _load(str(out), results, tasks)], baseline, verdict.levels)


def _write(verdict: GateVerdict, run: Run, name: str, results: Path, files: Files) -> None:
    from harness.decisions import flips, github_actions, junit, ledger
    from harness.decisions.run_facts import cost, date_of
    from harness.report.load import find_store

    data, facts = run
    if files.ledger is not None:
        ledger.append(files.ledger, ledger.night(verdict, facts, cost(name, results), date_of(facts)))
    if files.junit is not None:
        junit.write(files.junit, verdict, data.suites)
    if files.flips is not None:
        copied = flips.write(files.flips, find_store(name, results), verdict, facts)
        left = f", {copied.left_out} more did not fit" if copied.left_out else ""
        echo(f"{files.flips}: {copied.samples} changed samples{left}", err=True)
    github_actions.summarize(verdict, os.environ)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in github_actions.workflow_commands(verdict):
            echo(line, err=True)


def _print(verdict: GateVerdict, form: str) -> None:
    from harness.decisions import gate_text

    if form == "json":
        click.echo(json.dumps(gate_text.document(verdict), ensure_ascii=False, indent=1, allow_nan=False))
        return
    for line in gate_text.lines(verdict):
        echo(line)
