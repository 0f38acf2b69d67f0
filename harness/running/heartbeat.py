"""Writes into a run's store that its process is alive and how far it is, for programs that watch it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from harness.errors import StoreError
from harness.storage.run_record import BEAT_S
from harness.storage.store import Store

log = logging.getLogger(__name__)


@asynccontextmanager
async def heartbeat(
    store: Store, facts: Callable[[], Mapping[str, Any]], every_s: float = BEAT_S
) -> AsyncGenerator[None]:
    """Beat at the start, every `every_s` seconds and, with `state` ended, at the end of the block.

    Args:
        store: the run's, open for writing.
        facts: gives how far the run is, as plain JSON; called before each beat.
        every_s: seconds between two beats.
    """
    beating = asyncio.create_task(_beat(store, facts, every_s))
    try:
        yield
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
        _write(store, {**facts(), "state": "ended"})


async def _beat(store: Store, facts: Callable[[], Mapping[str, Any]], every_s: float) -> None:
    while True:
        _write(store, {**facts(), "state": "playing"})
        await asyncio.sleep(every_s)


def _write(store: Store, facts: Mapping[str, Any]) -> None:
    """Write one beat; a failure is only logged, since the next attempt's commit would fail as well."""
    try:
        store.beat(facts)
    except StoreError as error:
        log.warning("no heartbeat: %s", error)
