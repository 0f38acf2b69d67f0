"""The one way from a command to the screen: nothing printed steers the terminal or holds a key."""

from __future__ import annotations

import click

from harness.models import outside


def echo(text: str, *, err: bool = False) -> None:
    """Print a text for people; names in it may come from a server, a package or a folder."""
    click.echo(outside.shown(text), err=err)
