"""A transformers model of this machine behind TGI's protocol on loopback, for `hf:PATH`.

On a CPU, OMP_NUM_THREADS says how many threads compute; without it one does.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.catalog import models as catalog
from harness.catalog.models import Entry
from harness.errors import UsageError
from harness.models.local.loading import Loaded, Settings, load
from harness.models.local.tgi_server import serving


@asynccontextmanager
async def serve_local(entry: Entry) -> AsyncGenerator[tuple[Entry, str], None]:
    """Load the model and serve it; yields the entry with its template, and the base URL.

    Raises:
        MissingPart: torch or transformers is not installed, or the model cannot be loaded.
        UsageError: the model brings no chat template and models.toml has none for it.
    """
    settings = settings_of(entry)
    loaded = await asyncio.to_thread(load, entry.path, settings)
    with tempfile.TemporaryDirectory() as work:
        template = template_of(entry, loaded, Path(work))
        if not template:
            raise UsageError(no_template(entry))
        entry = replace(entry, template=template, context=loaded.context)
        async with serving(loaded, settings) as (_, url):
            yield entry, url


def settings_of(entry: Entry) -> Settings:
    """How an entry wants to be run."""
    batch = entry.batch or None
    return Settings(device=entry.device, dtype=entry.dtype, revision=entry.revision, batch=batch)


def template_of(entry: Entry, loaded: Loaded, work: Path) -> str:
    """Name the model's template: the command's, the one models.toml has for these weights, or its own.

    Its own is written into the folder `work`; empty when there is none.
    """
    if known := named_template(entry):
        return known
    config = template_config(loaded.tokenizer)
    if not isinstance(config.get("chat_template"), str | dict):
        return ""
    path = work / "tokenizer_config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return str(path)


def named_template(entry: Entry) -> str:
    """The template that the command or models.toml names for these weights; empty when none does."""
    if entry.template:
        return entry.template
    known = (one for one in catalog.load().values() if entry.path in (one.hf, *one.aliases))
    return next((one.template for one in known if one.template), "")


def no_template(entry: Entry) -> str:
    """What to do about a model without a template."""
    return (
        f"{entry.path} has no chat template; give --template, or name one in a models file "
        f'(HARNESS_MODELS), with hf = "{entry.path}"'
    )


def template_config(tokenizer: Any) -> dict[str, Any]:
    """What harness.templates reads from a tokenizer_config.json."""
    names = ("bos_token", "eos_token", "unk_token", "pad_token")
    tokens = {name: getattr(tokenizer, name, None) or "" for name in names}
    told = {name: getattr(tokenizer, name, None) for name in ("chat_template", "add_bos_token")}
    return told | tokens
