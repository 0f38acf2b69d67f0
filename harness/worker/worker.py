"""Calls one worker; stops it after a time-out, over its memory limit, or after a malformed answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from harness.errors import EnvironmentFault
from harness.worker import frames
from harness.worker.launch import Launch
from harness.worker.process import GRACE_S, ChildProcess

log = logging.getLogger(__name__)

WATCH_S = 0.25
"""How often the memory of a worker is read while it works on a call."""


class RemoteError(EnvironmentFault):
    """The handler's method raised; the worker can take further calls.

    Attributes:
        kind: the exception's class name in the child.
    """

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class Worker:
    """A child process that answers one call at a time; callers queue in order of arrival."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._process = ChildProcess(launch)
        self._turn = asyncio.Lock()
        self._current: asyncio.Task[Any] | None = None
        """The call that the child works on."""
        self._number = 0

    @property
    def pid(self) -> int:
        """The child's process id and process group; 0 before the start."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can take a call."""
        return self._process.running

    def rss_mb(self) -> float:
        """Resident memory of the child; 0 when it cannot be read."""
        return self._process.rss_mb()

    async def start(self) -> None:
        """Start the child and wait until its handler is built.

        Raises:
            EnvironmentFault: it ended or did not answer in time; the message has the end of its stderr.
        """
        await self._process.start()
        try:
            async with self._turn:
                await self._watched(self._receive(0), "start", self.launch.start_s)
        except BaseException:
            await self.close()
            raise

    async def call(self, method: str, *args: Any, timeout: float) -> Any:
        """Call a method of the child's handler.

        A caller who is cancelled in the queue leaves it. One who is cancelled while the child works leaves
        it GRACE_S to finish, for its other users; then it is killed.

        Args:
            method: name of the handler's method.
            args: what msgpack can carry.
            timeout: seconds the child may work on it; waiting for one's turn does not count.

        Raises:
            RemoteError: the method raised.
            EnvironmentFault: the worker is dead, was killed for taking too long or too much memory, or
                sent a malformed answer.
        """
        exchange = asyncio.create_task(self._exchange(method, args, timeout))
        try:
            return await asyncio.shield(exchange)
        except asyncio.CancelledError:
            self._abandon(exchange)
            raise

    def kill(self, reason: str) -> None:
        """Kill the child and all of its process group at once."""
        self._process.kill(reason)

    async def close(self) -> None:
        """End the child, by force when it does not end by itself; leaves no process. Idempotent."""
        await self._process.close(idle=self._current is None)

    async def _exchange(self, method: str, args: tuple[Any, ...], timeout: float) -> Any:
        async with self._turn:
            self._number += 1
            frame = frames.encode(frames.Request(self._number, method, list(args)), self.launch.frame_cap)
            if not self.alive:
                raise EnvironmentFault(self._process.failure_report())
            self._current = asyncio.current_task()
            try:
                answer = await self._watched(self._roundtrip(frame), method, timeout)
            finally:
                self._current = None
        if not answer.ok:
            raise RemoteError(f"{self.launch.module}.{method} raised {answer.text}", kind=answer.kind)
        return answer.value

    async def _roundtrip(self, frame: bytes) -> frames.Answer:
        await self._process.send(frame)
        return await self._receive(self._number)

    async def _receive(self, number: int) -> frames.Answer:
        answer = await self._process.receive()
        if answer.number != number:
            raise frames.FrameError(f"answer {answer.number} came where {number} was due")
        return answer

    async def _watched(
        self, work: Coroutine[Any, Any, frames.Answer], what: str, timeout: float
    ) -> frames.Answer:
        """Await an answer; kill the child when it is late, takes too much memory, or answers malformed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        task = asyncio.create_task(work)
        process, most_mb = self._process, self.launch.memory_mb
        try:
            while not task.done():
                left = deadline - loop.time()
                if left <= 0:
                    process.kill(f"{what} took over {timeout:g} s")
                elif (rss := process.rss_mb()) > most_mb:
                    process.kill(f"{what} took {rss:.0f} MB, the cap is {most_mb:g} MB")
                await asyncio.wait({task}, timeout=GRACE_S if process.ended else min(left, WATCH_S))
                if process.ended and not task.done():
                    raise EnvironmentFault(process.failure_report())
            return task.result()
        except frames.FrameError as error:
            process.kill(str(error))
            await process.reap()
            raise EnvironmentFault(process.failure_report()) from error
        except asyncio.CancelledError:
            process.kill(f"{what} was cancelled")  # its answer would be taken for the next call's
            raise
        finally:
            task.cancel()

    def _abandon(self, exchange: asyncio.Task[Any]) -> None:
        """Leave the queue, or give a call that the child works on GRACE_S to end."""
        if exchange is not self._current:
            exchange.cancel()
            return
        loop = asyncio.get_running_loop()
        end = loop.call_later(GRACE_S, self.kill, "its caller gave up and it went on")

        def settle(done: asyncio.Task[Any]) -> None:
            end.cancel()
            if not done.cancelled() and (error := done.exception()) is not None:
                log.debug("an abandoned call failed: %s", error)

        exchange.add_done_callback(settle)
