"""`harness watch`: what a run is doing, from another terminal."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import click

from harness.cli.common_options import RESULTS
from harness.cli.screen import echo


@click.command("watch")
@click.argument("run", required=False)
@click.option(
    "--every", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="Seconds between looks."
)
@click.option("--once", is_flag=True, help="Look once and end.")
@RESULTS
def command(run: str | None, every: float, results: Path, *, once: bool) -> int:
    """Show how far RUN (the newest when none is given) is and what it waits for, until it ends.

    Only the run's file is read: another machine that sees it will do. Lines with `!` tell of what stands
    still or fails. Exit code: 0 complete, 3 otherwise.
    """
    from contextlib import closing

    from harness.report.load import find_store
    from harness.view.run_view import RunView
    from harness.view.watch import Watch

    shown: list[str] = []
    with closing(RunView(find_store(run, results))) as opened:
        watch = Watch(opened)
        while True:
            ended, lines = watch.ended, watch.lines()  # in this order: what is shown last is the end
            if lines != shown:
                echo("\n".join(_screen(lines)))
            shown = lines
            if once or ended:
                return 0 if watch.complete else 3
            time.sleep(every)


def _screen(lines: list[str]) -> list[str]:
    """On a terminal a picture replaces the one before; elsewhere an empty line parts them."""
    if not sys.stdout.isatty():
        return [*lines, ""]
    click.clear()
    width, height = shutil.get_terminal_size()
    return [line[: width - 1] for line in lines[: height - 1]]
