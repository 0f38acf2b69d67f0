"""Hands events from the engine's thread to the event loop: those of one step together."""

from __future__ import annotations

import asyncio
from collections import deque

from harness.models.local.sequence import Event


class Delivery:
    """Queues of one event loop, which another thread fills.

    Every wake-up of a loop writes to a socket, and the loop then takes the interpreter from the engine.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._sent: deque[tuple[asyncio.Queue[Event], Event]] = deque()
        self._waking = False

    def send(self, queue: asyncio.Queue[Event], event: Event) -> None:
        """Put an event into a queue; called in the other thread."""
        self._sent.append((queue, event))
        if not self._waking:
            self._waking = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._waking = False  # before the events are taken: what is sent from now on wakes the loop anew
        while self._sent:
            queue, event = self._sent.popleft()
            queue.put_nowait(event)
