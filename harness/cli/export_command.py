"""`harness export`: a run as one file for other programs, also while it goes on."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common_options import RESULTS
from harness.cli.grouping import grouped
from harness.cli.run_options import names
from harness.cli.screen import echo
from harness.export.episodes import Choice
from harness.storage.words import counted

if TYPE_CHECKING:
    from harness.export.episodes import Run, Tally

ENDINGS = {"store": "sqlite", "inspect": "json", "parquet": "parquet"}
"""How a file's name ends, by format; of the others jsonl."""
FORMATS = """agentinstruct, sharegpt, openai: conversations for training as JSON lines, with a mask.
parquet: the same conversations, with test samples. replay: for --model replay:FILE.
inspect: one task as a log of Inspect AI. store: a copy of the run."""


@click.command("export")
@click.argument("run")
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["agentinstruct", "sharegpt", "openai", "parquet", "replay", "inspect", "store"]),
    required=True,
    help=FORMATS,
)
@click.option("--task", "tasks", multiple=True, callback=names, help="Only these tasks.")
@click.option(
    "--outcome",
    "outcomes",
    type=click.Choice(["scored", "limit", "model_error"]),
    multiple=True,
    help="Only episodes that ended so (repeatable).",
)
@click.option(
    "--min-value",
    "least",
    type=float,
    help="Only episodes worth at least this, from 0 to 1 (MT-Bench: 1 to 10).",
)
@click.option("--max-value", "most", type=float, help="Only episodes worth at most this.")
@click.option(
    "--profile",
    type=click.Choice(["paper", "fixed"]),
    help="Take the value by this profile's rule; only episodes that were graded by it.",
)
@click.option("--dedup", is_flag=True, help="Each conversation once.")
@click.option(
    "--holdout-check/--allow-test",
    "holdout",
    default=True,
    show_default=True,
    help="Formats for training: refuse samples that models are measured on, or take them.",
)
@RESULTS
@grouped(choice=Choice)
def command(*, run: str, out: Path | None, form: str, choice: Choice, holdout: bool, results: Path) -> int:
    """Write RUN (a directory or its name) to the new file OUT (default: RUN-FORMAT.jsonl and so on).

    It holds every episode that had ended when the command began; the run may go on meanwhile. Every reply is
    trained on once, behind what the model was shown when it gave it.
    """
    from dataclasses import replace

    from harness.errors import UsageError
    from harness.report.load import FILE, find_store

    path = find_store(run, results)
    name = path.parent.resolve().name if path.name == FILE else path.stem
    out = out or Path(f"{name}-{form}.{ENDINGS.get(form, 'jsonl')}")
    if form == "store":
        from harness.storage.store_copy import copy

        if choice != Choice():
            raise UsageError("--format store copies the whole run: leave out what chooses episodes")
        ended, planned = copy(path, out)
        echo(f"{out} holds {ended} of {planned} episodes: harness report {out}")
        return 0
    from harness.export.episodes import Run
    from harness.export.write import export

    with Run(path, name) as opened:
        tally = export(opened, form, replace(choice, allow_test=not holdout), out)
        _tell(opened, form, tally, out)
    return 0


def _tell(run: Run, form: str, tally: Tally, out: Path) -> None:
    lines = "" if form in ("replay", "inspect") else f"{counted(tally.rows, 'conversation')} of "
    echo(f"{out} holds {lines}{counted(tally.episodes, 'episode')}")
    for why, number in [*tally.left_out.most_common()]:
        echo(f"left out: {number:,} {why}", err=True)
    for what, number in tally.notes.most_common():
        echo(f"note: {number:,} {what}", err=True)
    if form == "replay":
        from harness.cli.replay_again import command as again

        echo(f"play it again: {shlex.join(again(run, str(out)))}", err=True)
