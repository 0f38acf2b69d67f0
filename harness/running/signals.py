"""Ctrl-C and SIGTERM: the first asks a run to drain, the second cancels it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable


class Signals:
    """Routes SIGINT and SIGTERM to `interrupt` while it is entered.

    Args:
        interrupt: called at each signal; returns whether it was the first. Later ones cancel the task.
    """

    def __init__(self, interrupt: Callable[[], bool]) -> None:
        self._interrupt = interrupt

    def __enter__(self) -> None:
        self._loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def received() -> None:
            if not self._interrupt() and task is not None:
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, received)

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.remove_signal_handler(number)
