"""Answers of the sandbox's fork server, read without blocking."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tasks._shared.sandbox.spec import Refused, SandboxFault

ANSWER_S = 60.0
_KILL_S = 30.0
_LINE = 4096


class Reply:
    """Answers to one request: JSON objects, one per line, possibly with descriptors.

    Attributes:
        fds: descriptors that came with them.
        sender: id of the process that answers; 0 until it has sent its id.
    """

    def __init__(self, channel: socket.socket, on_silence: Callable[[], None]) -> None:
        self._channel = channel
        self._on_silence = on_silence
        self._buffer = b""
        self.fds: list[int] = []
        self.sender = 0

    async def first(self) -> dict[str, Any]:
        """The next answer, where no command's run time is waited for; see `line`.

        Raises:
            SandboxFault: none came in time; the fork server is then killed.
        """
        try:
            return await asyncio.wait_for(self.line(), ANSWER_S)
        except TimeoutError as error:
            self._on_silence()
            raise SandboxFault(f"the sandbox's fork server said nothing for {ANSWER_S:.0f} s") from error

    async def line(self) -> dict[str, Any]:
        """The next answer.

        Raises:
            Refused: the system inside could not start the command.
            SandboxFault: the fork server reports a failure, or hung up.
        """
        while b"\n" not in self._buffer:
            if not await self._receive():
                raise SandboxFault("the sandbox's fork server hung up")
        head, _, self._buffer = self._buffer.partition(b"\n")
        answer = json.loads(head)
        if "refused" in answer:
            raise Refused(answer["refused"])
        if "error" in answer:
            raise SandboxFault(answer["error"])
        return answer

    async def text(self, end: bytes) -> bytes:
        """Everything up to `end`, or up to the end of the connection."""
        while end not in self._buffer and await self._receive():
            pass
        return self._buffer

    def send(self, word: bytes) -> None:
        """Send a word to the process that serves this request; `kill` ends its command."""
        with contextlib.suppress(OSError):
            self._channel.send(word)

    async def send_request(self, request: Mapping[str, Any], fds: Sequence[int]) -> None:
        """Send a second request, with its descriptors, to the process that answered the first.

        Raises:
            SandboxFault: that process is gone.
        """
        await send(self._channel, request, fds)

    async def _receive(self) -> bool:
        try:
            data, fds, _, _ = socket.recv_fds(self._channel, 65536, 4)
        except BlockingIOError:
            await wait_readable(self._channel.fileno())
            return True
        except ConnectionResetError:
            return False
        for fd in fds:
            os.set_inheritable(fd, False)
        self.fds += fds
        self._buffer += data
        return bool(data)

    def close(self) -> None:
        """Hang up; a command still running is then killed."""
        self._channel.close()


async def send(channel: socket.socket, request: Mapping[str, Any], fds: Sequence[int]) -> None:
    """Send a request as a memory file, followed by its descriptors.

    Raises:
        SandboxFault: the other end is closed, or takes no request in time.
    """
    memory = os.memfd_create("request")
    try:
        with os.fdopen(memory, "wb", closefd=False) as file:
            file.write(json.dumps(request).encode())
        os.lseek(memory, 0, os.SEEK_SET)
        async with asyncio.timeout(ANSWER_S):
            while True:
                try:
                    socket.send_fds(channel, [b"request"], [memory, *fds])
                    return
                except BlockingIOError:
                    # Several callers may wait for this descriptor, and the event loop wakes only one of them.
                    await asyncio.sleep(0.001)
    except TimeoutError as error:
        raise SandboxFault(f"the sandbox's fork server took no request for {ANSWER_S:.0f} s") from error
    except OSError as error:
        raise SandboxFault(f"the sandbox's fork server is gone: {error}") from error
    finally:
        os.close(memory)


async def wait_readable(fd: int) -> None:
    """Wait until a descriptor has something to read or is at its end."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(fd)


async def read_line(fd: int) -> bytes:
    """Read a non-blocking descriptor until a line or `_LINE` bytes are there, or it ended."""
    data = b""
    while b"\n" not in data and len(data) < _LINE:
        try:
            more = os.read(fd, _LINE)
        except BlockingIOError:
            await wait_readable(fd)
            continue
        if not more:
            break
        data += more
    return data


async def wait_for_exit(reply: Reply, timeout: float) -> tuple[int, bool]:
    """Wait for a command's end and kill it at its deadline; its exit status, and whether it was killed."""
    timed_out = False
    try:
        code = (await asyncio.wait_for(reply.line(), timeout))["code"]
    except TimeoutError:
        timed_out = True
        reply.send(b"kill")
        try:
            code = (await asyncio.wait_for(reply.line(), _KILL_S))["code"]
        except TimeoutError as error:
            raise SandboxFault(f"a killed command is not gone after {_KILL_S:.0f} s") from error
    return (128 - code if code < 0 else code), timed_out


class BwrapTerminal:
    """A process on a terminal inside; see `Terminal`."""

    def __init__(self, fd: int, pid: int, reply: Reply) -> None:
        self.fd = fd
        self.pid = pid
        self._reply = reply

    async def close(self) -> None:
        """Hang up: the fork server kills the process."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self._reply.close()
