"""Prints for all commands: control characters and API keys are taken out."""

from __future__ import annotations

import click

from harness.models import outside


def echo(text: str, *, err: bool = False) -> None:
    """Print a text for people; names in it may come from a server, a package or a folder."""
    click.echo(outside.shown(text), err=err)
