"""The keyless stand-in for WolframAlpha: numbers, and one polynomial equation in one unknown.

Sympy solves them in a worker process of bounded time and memory, as the text is a model's.
"""

from __future__ import annotations

import asyncio

from harness.errors import EnvironmentFault
from harness.types import Chat
from harness.worker import Launch, RemoteError, Worker
from tasks.rewoo.tools.base import Evidence
from tasks.rewoo.tools.wolfram import NOT_ABLE

LONGEST = 300
"""Characters of the longest input that is looked at."""

WALL_S = 30.0
"""The worker ends itself after two seconds of CPU time; this is for one that waits."""

LAUNCH = Launch("tasks.rewoo.tools.equations", memory_mb=256)
ATTEMPTS = 2


class Algebra:
    """Answers what needs no knowledge, and says so in WolframAlpha's words when it cannot.

    The worker starts with the first question and is shared by all episodes; `close` ends it.

    Args:
        launch: the worker; its handler has a method `solve` from text to text, or None.
    """

    fallback = "own algebra"

    def __init__(self, launch: Launch = LAUNCH) -> None:
        self._launch = launch
        self._worker: Worker | None = None
        self._turn = asyncio.Lock()

    async def use(self, key: str, text: str, chat: Chat | None) -> Evidence:
        """Answer a question.

        Raises:
            EnvironmentFault: the worker does not start.
        """
        del key, chat
        async with self._turn:  # a question that stops the worker takes no other one with it
            answer = await self._solve(text)
        return Evidence(NOT_ABLE if answer is None else answer, self.fallback)

    async def _solve(self, text: str) -> str | None:
        """Solve within the limits; None when it cannot be solved, or only beyond them.

        A worker can also be killed from outside, so a second one is asked. A question that stops both has no
        answer; the machine is not at fault.
        """
        if len(text) > LONGEST:
            return None
        for _ in range(ATTEMPTS):
            worker = await self._running()
            try:
                return await worker.call("solve", text, timeout=WALL_S)
            except RemoteError:  # such as MemoryError
                return None
            except EnvironmentFault:
                continue
        return None

    async def _running(self) -> Worker:
        if self._worker is None or not self._worker.alive:
            await self.close()
            self._worker = Worker(self._launch)
            await self._worker.start()
        return self._worker

    async def close(self) -> None:
        """End the worker. Idempotent."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()
