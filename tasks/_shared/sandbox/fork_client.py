"""Starts the sandbox's fork server, sends it requests, and replaces it when it is gone or does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks._shared.sandbox.reaping import wait_killed
from tasks._shared.sandbox.reply import Reply, send
from tasks._shared.sandbox.spec import SandboxFault

START_S = 60.0
_TOP = str(Path(__file__).resolve().parents[3])


class ForkClient:
    """The harness's end of the fork server.

    When the server dies, all its sandboxes end with it; the next request starts another server.
    """

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None
        self._closed = False
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int:
        """Process id of the fork server; 0 when none runs."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start the process and wait until it serves.

        Raises:
            SandboxFault: it did not start; the message has the end of its stderr.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs:
                self._process = await _server(theirs.fileno())
        # asyncio starts a thread for each process, and Python says that there is none left in this way
        except (OSError, RuntimeError) as error:
            ours.close()
            raise SandboxFault(f"the sandbox's fork server cannot be started: {error}") from error
        except BaseException:
            ours.close()
            raise
        self._control = ours
        try:
            hello = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(ours, 64), START_S)
        except TimeoutError as error:
            self.kill()
            await self._leave()
            raise SandboxFault(f"the sandbox's fork server said nothing for {START_S:.0f} s") from error
        except OSError:
            hello = b""
        if hello != b"ready":
            reason = await self._read_stderr()
            await self._leave()
            raise SandboxFault(f"the sandbox's fork server did not start: {reason[-500:]}")

    async def _read_stderr(self) -> str:
        assert self._process is not None and self._process.stderr is not None
        self.kill()
        said = b""
        with contextlib.suppress(TimeoutError):
            said = await asyncio.wait_for(self._process.stderr.read(1 << 16), 5)
        return said.decode("utf-8", "replace").strip()

    async def ask(self, request: Mapping[str, Any], fds: Sequence[int]) -> Reply:
        """Send one request with its descriptors; the answers come on the reply.

        Raises:
            SandboxFault: the client is closed, or the server cannot be started again.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                await self._send(request, [theirs.fileno(), *fds])
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        return Reply(ours, self.kill)

    async def _send(self, request: Mapping[str, Any], fds: Sequence[int]) -> None:
        control = self._control
        if control is not None and not self._closed:
            with contextlib.suppress(SandboxFault):
                await send(control, request, fds)
                return
        async with self._starting:
            if self._closed:
                raise SandboxFault("the sandbox backend is closed")
            if self._control in (control, None):  # no other caller has replaced it meanwhile
                await self._leave()
                await self.start()
            assert self._control is not None
            await send(self._control, request, fds)

    def kill(self) -> None:
        """Kill a server that does not answer; the next request starts another.

        Nothing more is sent to this one: a request that reached it while it dies would be lost.
        """
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        if self._control is not None:
            self._control.close()
            self._control = None

    async def close(self) -> None:
        """End the process. Idempotent."""
        self._closed = True
        async with self._starting:
            await self._leave()

    async def _leave(self) -> None:
        control, self._control = self._control, None
        process, self._process = self._process, None
        if control is not None:
            control.close()
        if process is not None:
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await wait_killed(process, "the sandbox's fork server")


async def _server(control: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tasks._shared.sandbox.fork_server", str(control)),
        pass_fds=[control],
        env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": _TOP},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
