"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

MIRROR = click.option("--mirror", envvar="HARNESS_MIRROR", help="Folder with the data, or 'fixture'.")
PROFILE = click.option("--profile", type=click.Choice(["paper", "fixed"]), default="paper", show_default=True)
RESULTS = click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results/runs"), show_default=True
)
ALPHA = click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Level of significance over all tasks together.",
)
MIN_EFFECT = click.option(
    "--min-effect",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Smallest difference that counts, in points (for MT-Bench tenths of a point).",
)
