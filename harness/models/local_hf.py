"""A transformers model of this machine behind TGI's protocol on loopback."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from harness.errors import MissingPart
from harness.models.catalog import Entry


@asynccontextmanager
async def serve_local(entry: Entry) -> AsyncGenerator[tuple[Entry, str], None]:
    """Load the model and serve it."""
    raise MissingPart(f"{entry.name}: local models need pip install 'agenttuning-harness[local]'")
    yield entry, ""
