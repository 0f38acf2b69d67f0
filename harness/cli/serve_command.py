"""`harness serve`: a transformers model of this machine behind TGI's protocol."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace

import click

from harness.catalog import models as catalog
from harness.catalog.models import Entry
from harness.cli.grouping import grouped
from harness.cli.screen import echo
from harness.errors import UsageError
from harness.storage.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The options of the command, as typed."""

    host: str
    port: int
    template: str
    device: str
    dtype: str | None
    revision: str
    batch: int | None
    concurrent: int


@click.command("serve")
@click.argument("model")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option("--template", default="", help="Named to those who use the server; it takes finished prompts.")
@click.option("--device", default="", help="As torch names it; a GPU where there is one.")
@click.option("--dtype", type=click.Choice(["float32", "float16", "bfloat16"]))
@click.option("--revision", default="", help="Of a model on the hub.")
@click.option("--batch", type=click.IntRange(1), help="Most sequences at once; what memory allows otherwise.")
@click.option(
    "--max-concurrent-requests", "concurrent", default=128, show_default=True, type=click.IntRange(1)
)
@grouped(options=ServeOptions)
def command(model: str, options: ServeOptions) -> int:
    """Serve MODEL, hf:FOLDER, hf:NAME_ON_THE_HUB, or an entry of models.toml whose kind is hf.

    The first Ctrl-C takes no new request and waits for those that run, the second ends them.
    """
    entry = catalog.find(model)
    if entry.kind != "hf":
        raise UsageError(f"{model} is not served from here; give hf:FOLDER or hf:NAME_ON_THE_HUB")
    try:
        return asyncio.run(_serve(_as_typed(entry, options), options))
    except asyncio.CancelledError as error:  # the second Ctrl-C
        raise KeyboardInterrupt from error


def _as_typed(entry: Entry, options: ServeOptions) -> Entry:
    """The entry with what the command says otherwise."""
    return replace(
        entry,
        template=options.template or entry.template,
        device=options.device or entry.device,
        dtype=options.dtype or entry.dtype,
        revision=options.revision or entry.revision,
        batch=options.batch or entry.batch,
    )


async def _serve(entry: Entry, options: ServeOptions) -> int:
    from harness.models.local.loading import load
    from harness.models.local.local_hf import named_template, settings_of, template_config
    from harness.models.local.tgi_server import serving
    from harness.running.signals import Signals

    settings = replace(settings_of(entry), concurrent=options.concurrent)
    stop = asyncio.Event()

    def interrupt() -> bool:
        first = not stop.is_set()
        stop.set()
        return first

    loaded = await asyncio.to_thread(load, entry.path, settings)
    async with serving(loaded, settings, host=options.host, port=options.port) as (service, url):
        own = "its own" if template_config(loaded.tokenizer).get("chat_template") else ""
        budget = service.engine.budget
        threads = os.environ.get("OMP_NUM_THREADS") or "1"
        echo(f"serving {entry.name} at {url} (TGI's protocol; Ctrl-C ends it)")
        echo(f"  context: {service.context} tokens")
        echo(f"  device: {loaded.device}" + (f", threads: {threads}" if loaded.device == "cpu" else ""))
        echo(f"  dtype: {loaded.dtype}" + _rounding(loaded.dtype))
        echo(f"  template: {named_template(entry) or own or 'none; its users give --template'}")
        echo(f"  batch: at most {budget.rows} at once, {budget.tokens} tokens in all")
        with Signals(interrupt):
            await stop.wait()
            if service.busy:
                echo(f"waiting for {counted(service.busy, 'request')}; Ctrl-C again ends them", err=True)
            await service.drained()
    return 0


def _rounding(dtype: str) -> str:
    """What a reader of greedy texts has to know of numbers with few digits."""
    return "" if dtype == "float32" else " (greedy texts may differ with what else runs in the batch)"
