"""`harness judge`: judges the answers of a run that wait for it; needs no model under test."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import click

from harness.cli.common_options import CA, MIRROR, RESULTS
from harness.cli.grouping import grouped
from harness.running.verdicts import JudgeRequest


@click.command("judge")
@click.argument("run", required=False)
@click.option("--judge", help="NAME@URL of an OpenAI-compatible server, or a models.toml entry.")
@click.option(
    "--role", help="embedder=NAME@URL or embedder=st:FOLDER, in place of --judge: for what waits for one."
)
@click.option("--k", type=click.IntRange(1), default=1, show_default=True, help="Judgings of each answer.")
@click.option("--retry", is_flag=True, help="Ask again for verdicts that could not be read.")
@click.option("--concurrency", type=click.IntRange(1), default=16, show_default=True)
@CA
@MIRROR
@RESULTS
@grouped(request=JudgeRequest)
def command(run: str | None, *, request: JudgeRequest, results: Path) -> int:
    """Judge RUN (the newest when none is given); the same command resumes and asks only what is missing.

    Exit code: 0 when every answer has a verdict that can be read, 3 otherwise.
    """
    from harness.cli.report_command import show_run
    from harness.report.load import find

    directory = find(run, results)
    waiting = judge_directory(directory, request)
    show_run(directory)
    return 3 if waiting else 0


def judge_directory(directory: Path, request: JudgeRequest) -> int:
    """Judge a run directory; returns how many verdicts are missing or unreadable."""
    from harness.report.load import FILE
    from harness.running import patience
    from harness.running.judge_stage import judge_stage
    from harness.storage import manifest, paths
    from harness.storage.scratch import scratch
    from harness.storage.store import Store

    with paths.hold(directory), scratch("harness-judge-") as work, closing(Store(directory / FILE)) as store:

        def begun() -> None:
            store.add_command({"argv": sys.argv, "environment": manifest.environment()})

        done = patience.run(judge_stage(store, request, work, begun))
        return done.waiting + done.tally.unread
