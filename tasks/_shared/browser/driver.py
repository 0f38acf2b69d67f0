"""Starts Playwright's driver with a temporary folder of its own, and reads its last output when it ends.

Playwright has no public way to either; where its inside is another than expected, both are left undone.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import Playwright

_FOLDER: ContextVar[Path | None] = ContextVar("_FOLDER", default=None)
"""Of the driver that is being started; each start runs in a context of its own."""


async def start_driver(folder: Path | None) -> Playwright:
    """Start a driver.

    Args:
        folder: where it keeps its files and the profiles of its browsers, made when it is not there; it
            removes them at its end, unless it is killed. None takes the system's.
    """
    from playwright.async_api import async_playwright

    _teach_folder()
    if folder is not None:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    manager = async_playwright()
    token = _FOLDER.set(folder)
    try:
        playwright = await manager.start()
    finally:
        _FOLDER.reset(token)
    death = getattr(getattr(getattr(manager, "_client", None), "_transport", None), "on_error_future", None)
    if isinstance(death, asyncio.Future):
        # Every call fails then and says so; this one is not awaited, and asyncio would print it as an error.
        death.add_done_callback(_read)
    return playwright


def _read(death: asyncio.Future[Any]) -> None:
    if not death.cancelled():
        death.exception()


@cache
def _teach_folder() -> None:
    """Have drivers' environment name their folder; changing this process's own would move everyone's."""
    from playwright._impl import transport

    usual = getattr(transport, "get_driver_env", None)
    if usual is None:
        return

    def environment() -> dict[str, str]:
        folder = _FOLDER.get()
        return {**usual(), **({"TMPDIR": str(folder)} if folder else {})}

    setattr(transport, "get_driver_env", environment)  # noqa: B010 - it exports no such name
