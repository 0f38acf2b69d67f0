"""The parent's side of one worker: starts it, calls it, stops it when it is late, too large or malformed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import EnvironmentFault
from harness.worker import frames

log = logging.getLogger(__name__)

GRACE_S = 2.0
"""How long the call of a caller who gave up, or a worker told to end, may take before it is killed."""

WATCH_S = 0.25
"""How often the memory of a worker is looked at while it works on a call."""

TAIL = 8192
"""Bytes of stderr kept for error messages."""

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


class RemoteError(EnvironmentFault):
    """The handler's method raised; the worker itself is well.

    Attributes:
        kind: the exception's class name in the child.
    """

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Launch:
    """How a worker is started.

    Attributes:
        module: has a function `handler()` that returns the object whose methods are called.
        env: further environment variables.
        start_s: how long the start may take, imports included.
        frame_cap: largest message in bytes, either way.
        memory_mb: resident memory above which the worker is killed.
    """

    module: str
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    start_s: float = 120.0
    frame_cap: int = frames.FRAME_CAP
    memory_mb: float = 4096.0


class Worker:
    """A child process that answers one call at a time; callers queue in order of arrival."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._process: asyncio.subprocess.Process | None = None
        self._stderr: asyncio.Task[None] | None = None
        self._tail: deque[bytes] = deque()
        self._turn = asyncio.Lock()
        self._flying: asyncio.Task[Any] | None = None
        self._number = 0
        self._fault = ""
        self._ended = False
        self._closed = False

    @property
    def pid(self) -> int:
        """The child's process id and process group; 0 before the start."""
        return self._process.pid if self._process else 0

    @property
    def alive(self) -> bool:
        """Whether a call has a chance."""
        return self._process is not None and self._process.returncode is None and not self._ended

    def rss_mb(self) -> float:
        """Resident memory of the child; 0 when it cannot be read."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_MB
        except (OSError, IndexError, ValueError):
            return 0.0

    async def start(self) -> None:
        """Start the child and wait until its handler is built.

        Raises:
            EnvironmentFault: it died or did not answer in time; the message carries its stderr.
        """
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        env = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
        # -P: the current folder, which may hold a module named like a library's, is not searched.
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "harness.worker", self.launch.module, str(self.launch.frame_cap)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env={**env, **self.launch.env},
        )
        self._stderr = asyncio.create_task(self._collect())
        try:
            async with self._turn:
                await self._watched(self._receive(0), "start", self.launch.start_s)
        except BaseException:
            await self.close()
            raise

    async def call(self, method: str, *args: Any, timeout: float) -> Any:
        """Call a method of the child's handler.

        A caller who is cancelled while queueing just leaves the queue. One who is cancelled while the
        child works leaves it GRACE_S to finish for the sake of its other users, then it is killed.

        Args:
            method: name of the handler's method.
            args: what msgpack can carry.
            timeout: seconds the child may work on it; waiting for one's turn does not count.

        Raises:
            RemoteError: the method raised.
            EnvironmentFault: the worker is dead, was killed for taking too long or too much memory, or
                sent garbage.
        """
        exchange = asyncio.create_task(self._exchange(method, args, timeout))
        try:
            return await asyncio.shield(exchange)
        except asyncio.CancelledError:
            self._abandon(exchange)
            raise

    def kill(self, reason: str) -> None:
        """Kill the child and all of its process group at once."""
        if not self._ended:
            self._ended, self._fault = True, reason
        if self._process is not None and self._process.returncode is None:
            _kill_group(self._process.pid)

    async def close(self) -> None:
        """End the child, by force when it does not end by itself; leaves no process. Idempotent."""
        process, idle = self._process, self._flying is None
        if process is None or self._closed:
            self._ended = True
            return
        self._closed = True
        try:
            if self.alive and idle and process.stdin is not None:
                self._ended, self._fault = True, "it was closed"
                process.stdin.close()
                await _within_grace(process.wait())
        finally:
            self._ended, self._fault = True, self._fault or "it was closed"
            _kill_group(process.pid)  # with what the child itself had started
        await _within_grace(process.wait())
        if self._stderr is not None:
            await asyncio.wait({self._stderr}, timeout=GRACE_S)
            self._stderr.cancel()

    # -- one call

    async def _exchange(self, method: str, args: tuple[Any, ...], timeout: float) -> Any:
        async with self._turn:
            self._number += 1
            frame = frames.encode(frames.Request(self._number, method, list(args)), self.launch.frame_cap)
            if not self.alive:
                raise EnvironmentFault(self._failure_report())
            self._flying = asyncio.current_task()
            try:
                answer = await self._watched(self._roundtrip(frame), method, timeout)
            finally:
                self._flying = None
        if not answer.ok:
            raise RemoteError(f"{self.launch.module}.{method} raised {answer.text}", kind=answer.kind)
        return answer.value

    async def _roundtrip(self, frame: bytes) -> frames.Answer:
        process = self._process
        assert process is not None and process.stdin is not None
        with contextlib.suppress(ConnectionError):  # a dead child is told by what cannot be read
            process.stdin.write(frame)
            await process.stdin.drain()
        return await self._receive(self._number)

    async def _receive(self, number: int) -> frames.Answer:
        assert self._process is not None and self._process.stdout is not None
        stream, cap = self._process.stdout, self.launch.frame_cap
        try:
            size = frames.length(await stream.readexactly(frames.HEAD), cap)
            answer = frames.answer(await stream.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            await self._reaped()
            raise EnvironmentFault(self._failure_report()) from None
        if answer.number != number:
            raise frames.FrameError(f"answer {answer.number} came where {number} was due")
        return answer

    async def _watched(self, work: Any, what: str, timeout: float) -> frames.Answer:
        """Await an answer; kills the worker when it is late, over its memory limit or malformed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        task: asyncio.Task[frames.Answer] = asyncio.create_task(work)
        try:
            while not task.done():
                left = deadline - loop.time()
                if left <= 0:
                    self.kill(f"{what} took over {timeout:g} s")
                elif (rss := self.rss_mb()) > self.launch.memory_mb:
                    self.kill(f"{what} took {rss:.0f} MB, the cap is {self.launch.memory_mb:g} MB")
                await asyncio.wait({task}, timeout=GRACE_S if self._ended else min(left, WATCH_S))
                if self._ended and not task.done():
                    raise EnvironmentFault(self._failure_report())
            return task.result()
        except frames.FrameError as error:
            self.kill(str(error))
            await self._reaped()
            raise EnvironmentFault(self._failure_report()) from error
        except asyncio.CancelledError:
            self.kill(f"{what} was cancelled")  # its answer would be taken for the next call's
            raise
        finally:
            task.cancel()

    def _abandon(self, exchange: asyncio.Task[Any]) -> None:
        if exchange is not self._flying:
            exchange.cancel()
            return
        loop = asyncio.get_running_loop()
        end = loop.call_later(GRACE_S, self.kill, "its caller gave up and it went on")

        def settle(done: asyncio.Task[Any]) -> None:
            end.cancel()
            if not done.cancelled() and (error := done.exception()) is not None:
                log.debug("an abandoned call failed: %s", error)

        exchange.add_done_callback(settle)

    # -- what it leaves behind

    async def _collect(self) -> None:
        """Keep the end of stderr, where the child's stdout goes too."""
        assert self._process is not None and self._process.stderr is not None
        held = 0
        while part := await self._process.stderr.read(4096):
            self._tail.append(part)
            held += len(part)
            while held - len(self._tail[0]) >= TAIL:
                held -= len(self._tail.popleft())

    async def _reaped(self) -> None:
        """Let the exit code and the last words of a dying child arrive."""
        assert self._process is not None and self._stderr is not None
        await _within_grace(self._process.wait())
        await asyncio.wait({self._stderr}, timeout=GRACE_S / 4)
        self.kill("it closed its pipe")

    def _failure_report(self) -> str:
        code = self._process.returncode if self._process else None
        said = b"".join(self._tail)[-TAIL:].decode("utf-8", "replace").strip()
        head = f"worker {self.launch.module} (pid {self.pid}, exit {code}): {self._fault or 'it died'}"
        return f"{head}\n{said}" if said else head


async def _within_grace(wait: Awaitable[object]) -> None:
    """Wait, but not for ever: a descendant that left the group may hold the pipes open."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            await wait


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
