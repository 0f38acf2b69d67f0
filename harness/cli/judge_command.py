"""`harness judge`: judges the answers of a run that wait for it; needs no model under test."""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common_options import MIRROR, RESULTS

if TYPE_CHECKING:
    from harness.running.judging import JudgeRequest


@click.command("judge")
@click.argument("run", required=False)
@click.option(
    "--judge", required=True, help="NAME@URL of an OpenAI-compatible server, or a models.toml entry."
)
@click.option("--k", type=click.IntRange(1), default=1, show_default=True, help="Judgings of each answer.")
@click.option("--concurrency", type=click.IntRange(1), default=16, show_default=True)
@MIRROR
@RESULTS
def command(run: str | None, judge: str, k: int, concurrency: int, mirror: str | None, results: Path) -> int:
    """Judge RUN (the newest when none is given); the same command resumes and asks only what is missing.

    Exit code: 0 when every answer has its verdict, 3 otherwise.
    """
    from harness.cli.report_command import show_run
    from harness.report.load import find
    from harness.running.judging import JudgeRequest

    directory = find(run, results)
    waiting = judge_directory(directory, JudgeRequest(judge, k, concurrency, mirror))
    show_run(directory)
    return 3 if waiting else 0


def judge_directory(directory: Path, request: JudgeRequest) -> int:
    """Judge a run directory; returns how many episodes still wait."""
    from harness.report.load import FILE
    from harness.running.judging import judge_stage
    from harness.running.scratch import scratch
    from harness.storage import manifest, paths
    from harness.storage.store import Store

    with paths.hold(directory), scratch("harness-judge-") as work, closing(Store(directory / FILE)) as store:
        store.add_command({"argv": sys.argv, "environment": manifest.environment()})
        return asyncio.run(judge_stage(store, request, work)).waiting
