"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

MIRROR = click.option("--mirror", envvar="HARNESS_MIRROR", help="Folder with the data, or 'fixture'.")
PROFILE = click.option("--profile", type=click.Choice(["paper", "fixed"]), default="paper", show_default=True)
RESULTS = click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results/runs"), show_default=True
)
