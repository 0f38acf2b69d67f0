"""`harness compare`: is one run better than another?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.common_options import ALPHA, MIN_EFFECT, RESULTS
from harness.cli.grouping import grouped
from harness.cli.screen import echo
from harness.decisions.levels import Levels


@click.command("compare")
@click.argument("first")
@click.argument("second")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@ALPHA
@MIN_EFFECT
@click.option("--force", is_flag=True, help="Compare runs that do not measure the same; marked ≈.")
@RESULTS
@grouped(levels=Levels)
def command(first: str, second: str, form: str, results: Path, *, levels: Levels, force: bool) -> int:
    """Say task by task how SECOND differs from FIRST (run directories, names, or copies of stores).

    Episodes are paired by sample and repeat. Exit code: 0 compared, 2 not the same measurement, 3 when a
    task could not be compared.
    """
    from harness.decisions import compare_text, run_facts
    from harness.decisions.compare import compare
    from harness.report.load import load

    old, new = ((load(name, results), run_facts.read(name, results)) for name in (first, second))
    found = compare(old, new, levels, force=force)
    if form == "json":
        click.echo(json.dumps(compare_text.document(found), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        for line in compare_text.lines(found):
            echo(line)
    return 0 if found.complete else 3
