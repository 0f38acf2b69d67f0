"""`harness export`: a run as one file, also while it goes on."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common_options import RESULTS
from harness.cli.screen import echo


@click.command("export")
@click.argument("run")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["store"]), required=True, help="store: a copy of the run's store."
)
@RESULTS
def command(run: str, out: Path, form: str, results: Path) -> None:
    """Write RUN (a directory or its name) to the new file OUT.

    The copy holds every episode that was committed when the command began; the run may go on meanwhile.
    """
    del form  # there is one
    from harness.report.load import find_store
    from harness.storage.store_copy import copy

    ended, planned = copy(find_store(run, results), out)
    echo(f"{out} holds {ended} of {planned} episodes: harness report {out}")
