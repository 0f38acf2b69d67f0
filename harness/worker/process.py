"""A worker's process: starts it, carries frames, measures its memory, keeps its stderr, and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Awaitable
from pathlib import Path

from harness.errors import EnvironmentFault
from harness.worker import frames
from harness.worker.launch import Launch

GRACE_S = 2.0
"""Seconds that a process may take to end before it is killed."""

TAIL = 8192
"""Bytes of stderr kept for error messages."""

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


class ChildProcess:
    """One child process and its process group.

    Attributes:
        ended: it was asked to end, or killed; no further call is accepted.
    """

    def __init__(self, launch: Launch) -> None:
        self.ended = False
        self._launch = launch
        self._process: asyncio.subprocess.Process | None = None
        self._stderr: asyncio.Task[None] | None = None
        self._tail: deque[bytes] = deque()
        self._reason = ""
        self._closed = False

    @property
    def pid(self) -> int:
        """Its process id and process group; 0 before the start."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether it has started and not ended."""
        return self._process is not None and self._process.returncode is None and not self.ended

    def rss_mb(self) -> float:
        """Resident memory; 0 when it cannot be read."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_MB
        except (OSError, IndexError, ValueError):
            return 0.0

    async def start(self) -> None:
        """Start it; its handler is not built yet."""
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        env = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
        # -P: the current folder, which may hold a module named like a library's, is not searched.
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "harness.worker", self._launch.module, str(self._launch.frame_cap)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env={**env, **self._launch.env},
        )
        self._stderr = asyncio.create_task(self._keep_tail())

    async def send(self, frame: bytes) -> None:
        """Write a frame. A process that has ended is noticed only when the answer is read."""
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(frame)
            await self._process.stdin.drain()

    async def receive(self) -> frames.Answer:
        """Read one frame.

        Raises:
            EnvironmentFault: the process closed its pipe or ended; the message has the end of its stderr.
            FrameError: it sent something else than an answer.
        """
        assert self._process is not None and self._process.stdout is not None
        stream = self._process.stdout
        try:
            size = frames.length(await stream.readexactly(frames.HEAD), self._launch.frame_cap)
            return frames.answer(await stream.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.reap()
            raise EnvironmentFault(self.failure_report()) from None

    def kill(self, reason: str) -> None:
        """Kill it and all of its process group at once."""
        if not self.ended:
            self.ended, self._reason = True, reason
        if self._process is not None and self._process.returncode is None:
            _kill_group(self._process.pid)

    async def reap(self) -> None:
        """Let the exit code and the end of stderr of a dying process arrive."""
        assert self._process is not None and self._stderr is not None
        await _within_grace(self._process.wait())
        await asyncio.wait({self._stderr}, timeout=GRACE_S / 4)
        self.kill("it closed its pipe")

    async def close(self, *, idle: bool) -> None:
        """End it, by force when it does not end by itself; leaves no process. Idempotent.

        Args:
            idle: it works on no call, so that it can be asked to end.
        """
        process = self._process
        if process is None or self._closed:
            self.ended = True
            return
        self._closed = True
        try:
            if self.running and idle and process.stdin is not None:
                self.ended, self._reason = True, "it was closed"
                process.stdin.close()
                await _within_grace(process.wait())
        finally:
            self.ended, self._reason = True, self._reason or "it was closed"
            _kill_group(process.pid)  # with what the child itself had started
        await _within_grace(process.wait())
        if self._stderr is not None:
            await asyncio.wait({self._stderr}, timeout=GRACE_S)
            self._stderr.cancel()

    def failure_report(self) -> str:
        """Say why it ended, with its exit code and the end of its stderr."""
        code = self._process.returncode if self._process else None
        stderr = b"".join(self._tail)[-TAIL:].decode("utf-8", "replace").strip()
        head = f"worker {self._launch.module} (pid {self.pid}, exit {code}): {self._reason or 'it died'}"
        return f"{head}\n{stderr}" if stderr else head

    async def _keep_tail(self) -> None:
        """Keep the end of stderr, where the child's stdout goes too."""
        assert self._process is not None and self._process.stderr is not None
        held = 0
        while part := await self._process.stderr.read(4096):
            self._tail.append(part)
            held += len(part)
            while held - len(self._tail[0]) >= TAIL:
                held -= len(self._tail.popleft())


async def _within_grace(wait: Awaitable[object]) -> None:
    """Wait for at most GRACE_S: a descendant that left the process group may hold the pipes open."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            await wait


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
