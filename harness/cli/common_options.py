"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click


@contextmanager
def _trusting(file: Path) -> Generator[None, None, None]:
    """Name a file of certificates to every connection of this process, as `HARNESS_CA` does."""
    from harness.models.network import CA_VARIABLE

    before = os.environ.get(CA_VARIABLE)
    os.environ[CA_VARIABLE] = str(file.resolve())
    try:
        yield
    finally:
        del os.environ[CA_VARIABLE]
        if before is not None:
            os.environ[CA_VARIABLE] = before


def _trust(context: click.Context, _: click.Parameter, file: Path | None) -> None:
    if file is not None:
        context.with_resource(_trusting(file))


CA = click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=_trust,
    expose_value=False,
    help="Trust the certificates in this PEM file as well (or name it in HARNESS_CA).",
)
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
