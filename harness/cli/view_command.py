"""`harness view`: one or two runs in the browser, or as a folder of pages."""

from __future__ import annotations

import asyncio
import re
import signal
from dataclasses import dataclass
from pathlib import Path

import click

from harness.cli.common_options import RESULTS
from harness.cli.grouping import grouped
from harness.cli.screen import echo
from harness.errors import UsageError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where the pages are served, as typed."""

    host: str
    port: int
    at: str
    browser: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """What is written to a folder, as typed."""

    bundle: Path | None
    only: str | None
    max: str


@click.command("view")
@click.argument("run", required=False)
@click.argument("other", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Interface to serve on.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to serve on; 0: a free one.")
@click.option("--at", default="", metavar="TASK/SAMPLE", help="Begin with this episode.")
@click.option("--browser", is_flag=True, help="Open the address in a browser.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Write the pages to this new folder instead.")
@click.option("--only", type=click.Choice(["flips", "failed"]), help="Only these episodes (--bundle).")
@click.option("--max", default="50MB", show_default=True, help="Most that the folder may take (--bundle).")
@RESULTS
@grouped(serving=Serving, packing=Packing)
def command(run: str | None, other: str | None, results: Path, *, serving: Serving, packing: Packing) -> int:
    """Look at RUN, beside OTHER if it is given (directories, names, or copies of stores); else the newest.

    The pages are served on this machine until Ctrl-C; they follow a run that goes on. With --bundle they are
    written to a folder that needs no server: open its index.html.
    """
    from harness.report.load import find_store

    if packing.bundle is not None and serving.at:
        raise UsageError("--at says where the served pages begin, and --bundle serves none: leave one out")
    paths = [find_store(name, results) for name in ([run, other] if other else [run])]
    if packing.bundle is not None:
        from harness.view.bundle import bundle

        done = bundle(paths, packing.bundle, only=packing.only or "", most=_bytes(packing.max))
        echo(done)
        return 0
    if packing.only:
        raise UsageError("--only chooses what --bundle DIR writes: give that, or leave it out")
    asyncio.run(_serve(paths, serving))
    return 0


async def _serve(paths: list[Path], asked: Serving) -> None:
    from harness.view.server import LOCAL, Place, serving

    if asked.host != LOCAL:
        echo(
            f"warning: on {asked.host} whoever learns the address can read this run, over plain HTTP; "
            "an SSH tunnel to the port is safer",
            err=True,
        )
    start = _start(paths[0], asked.at) if asked.at else ""
    async with serving(paths, Place(asked.host, asked.port)) as address:
        echo(f"{address}{start}\nCtrl-C ends it")
        if asked.browser:
            await asyncio.to_thread(_open, address + start)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGTERM, ended.set
        )  # the search index is removed
        await ended.wait()


def _start(path: Path, at: str) -> str:
    """Where in the pages an episode is."""
    from contextlib import closing

    from harness.view.run_view import RunView

    task, _, sample = at.partition("/")
    with closing(RunView(path)) as run:
        return f"#/0/e/{run.find(task, sample)}"


def _open(address: str) -> None:
    import webbrowser

    if not webbrowser.open(address):
        echo("no browser was found: open the address above in one", err=True)


def _bytes(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--max {text}: give a size such as 50MB")
    return int(float(found[1]) * _UNITS[found[2].lower()])
