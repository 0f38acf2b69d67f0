"""A forward proxy on loopback that lets browsers reach the listed hosts and ports, and nothing else.

Request routing inside a browser sees neither the hops of a redirect nor WebSockets; a proxy sees both.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

Place = tuple[str, int]
"""A host in lower case and a port."""

HEAD_BYTES = 64 << 10
CHUNK_BYTES = 64 << 10
HEAD_S, IDLE_S = 60.0, 300.0
"""Longest wait for a request's head, and for the next piece of a body or of a tunnel."""

CONNECTIONS = 1024
_OWN_HOP = (b"proxy-connection:", b"connection:", b"proxy-authorization:", b"keep-alive:")


@dataclass(frozen=True, slots=True)
class _Request:
    """The head of a request: where it goes, and what is sent there first (nothing for a tunnel)."""

    place: Place
    head: bytes


class FilteringProxy:
    """Forwards HTTP in absolute form and CONNECT tunnels; an async context manager.

    A request for any other place is cut off without an answer, so that the browser sees a network error
    and no page.

    Args:
        allowed: hosts and ports that may be reached.

    Attributes:
        refused: places that were asked for and refused, the newest last (at most 1,000 are kept).
    """

    def __init__(self, allowed: Collection[Place]) -> None:
        self.allowed = frozenset(allowed)
        self.refused: deque[Place] = deque(maxlen=1000)
        self._server: asyncio.Server | None = None
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=HEAD_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in list(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(self._open, timeout=5)

    @property
    def address(self) -> str:
        """Where browsers find it, as `http://127.0.0.1:PORT`."""
        if self._server is None:
            raise RuntimeError("the proxy is not open")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            async with self._slots:
                await self._serve(reader, writer)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            log.debug("a proxied connection ended: %r", error)
        except asyncio.CancelledError:
            pass  # only this server's own closing cancels it
        finally:
            self._open.discard(task)
            await _shut(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HEAD_S):
            try:
                request = _read(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.LimitOverrunError:
                return
        if request.place not in self.allowed:
            self.refused.append(request.place)
            return
        there, to_there = await asyncio.open_connection(*request.place, limit=CHUNK_BYTES)
        try:
            if request.head:
                to_there.write(request.head)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _both_ways((reader, to_there), (there, writer))
        finally:
            await _shut(to_there)


def _read(head: bytes) -> _Request:
    """Read a request's head.

    Raises:
        ValueError: it is no request to a proxy.
    """
    line, _, rest = head.partition(b"\r\n")
    method, target, version = line.split(b" ")
    if method == b"CONNECT":
        host, _, port = target.decode("ascii").rpartition(":")
        return _Request((host.strip("[]").lower(), int(port)), b"")
    parts = urlsplit(target.decode("ascii"))
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"not a request to a proxy: {line[:200]!r}")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # One request per connection: whatever follows on it goes to the same place and nowhere else.
    kept = [row for row in rest.split(b"\r\n") if row and not row.lower().startswith(_OWN_HOP)]
    first = b" ".join((method, path.encode("ascii"), version))
    head = b"\r\n".join((first, *kept, b"Connection: close", b"", b""))
    return _Request((parts.hostname.lower(), parts.port or 80), head)


Way = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _both_ways(there: Way, back: Way) -> None:
    """Copy until the far side has ended; the near side may end earlier, as at the end of a request."""
    sending = asyncio.create_task(_copy(*there))
    try:
        await _copy(*back)
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, TimeoutError):
            await sending


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        async with asyncio.timeout(IDLE_S):
            piece = await reader.read(CHUNK_BYTES)
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
    if writer.can_write_eof():
        with contextlib.suppress(OSError):
            writer.write_eof()


async def _shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(5):
            await writer.wait_closed()
