"""`harness merge`: the shards of a run as one run."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from harness.cli.common_options import RESULTS
from harness.cli.screen import echo
from harness.errors import UsageError


@contextmanager
def new_folder(out: Path) -> Generator[None]:
    """Make a folder; one that is still empty when the block fails is taken away again."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {out}: {error.strerror}; give another OUT") from error
    try:
        yield
    except BaseException:
        with suppress(OSError):
            out.rmdir()
        raise


@click.command("merge")
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("shards", nargs=-1, required=True, metavar="SHARD...")
@RESULTS
def command(out: Path, shards: tuple[str, ...], results: Path) -> int:
    """Put runs made with --shard together in the new run directory OUT.

    Each SHARD is a run directory, its name, or a copy of its store. They stay as they are, and may lie
    anywhere. The shards' command with --out OUT and without --shard plays what is missing.

    Exit code: 0 complete, 2 not shards of one run, 3 incomplete.
    """
    from harness.report.load import FILE, find_store
    from harness.storage.merge import merge

    found = [find_store(shard, results) for shard in shards]
    with new_folder(out):
        merged = merge(out / FILE, found)
    echo(f"{out} holds {merged.ended} of {merged.planned} episodes: harness report {out}")
    for line in merged.missing:
        echo(f"  {line}")
    if merged.missing:
        echo(f"the shards' command without --shard and with --out {out} plays what is missing")
    return 3 if merged.missing else 0
