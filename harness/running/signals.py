"""Ctrl-C and SIGTERM: the first asks a run to drain, the second cancels it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

LOOK_S = 1.0
"""Seconds between two looks at whether a draining run can still end well."""


class Signals:
    """Routes SIGINT and SIGTERM to `interrupt` while it is entered.

    Args:
        interrupt: called at each signal; returns whether it was the first. Later ones cancel the task.
        hopeless: asked every second after the first signal whether what still runs cannot end well, so
            that the task is cancelled as by a second one.
    """

    def __init__(self, interrupt: Callable[[], bool], hopeless: Callable[[], bool] = lambda: False) -> None:
        self._interrupt, self._hopeless = interrupt, hopeless
        self._again: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._received)

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.remove_signal_handler(number)
        if self._again is not None:
            self._again.cancel()

    def _received(self) -> None:
        if self._interrupt():
            self._look()
        elif self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        if not self._hopeless():
            self._again = self._loop.call_later(LOOK_S, self._look)
        elif self._task is not None:
            self._task.cancel()
