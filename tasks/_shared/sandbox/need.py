"""The need for a sandbox, checked by making one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from harness.data import cache_folder
from harness.errors import MissingPart
from harness.needs import Need
from tasks._shared.sandbox.probe import open_sandbox
from tasks._shared.sandbox.spec import Programs

Images = Callable[[], Mapping[str, Path | Programs | str | Exception]]


def sandbox_need(images: Images, choice: str, fix: str) -> Need:
    """Need a sandbox, checked on a trial that is opened the way a run opens it.

    Args:
        images: gives each backend's image, or the reason why it has none. Use a module-level function: one
            trial then serves every check of this process.
        choice: `auto`, or the one backend wanted.
        fix: what to do when there is none.
    """
    return Need("a sandbox", lambda: _trial(images, choice, cache_folder()), fix)


@cache
def _trial(images: Images, choice: str, built_in: Path) -> str | None:
    del built_in  # where the images are, so that another cache folder gets a trial of its own

    async def opened() -> None:
        async with open_sandbox(images(), choice):
            pass

    try:
        # The caller may be inside an event loop, which cannot run another.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, opened()).result()
    except MissingPart as error:
        return str(error)
    return None
