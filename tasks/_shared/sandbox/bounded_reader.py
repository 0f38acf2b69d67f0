"""Reads the output of an untrusted process: a bounded beginning is kept, the rest is discarded."""

from __future__ import annotations

import asyncio
import os


class BoundedReader:
    """Reads one descriptor until its end, keeping at most `cap` bytes."""

    def __init__(self, fd: int, cap: int) -> None:
        self.data = bytearray()
        self.truncated = False
        self._fd = fd
        self._cap = cap
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        except OSError:  # a terminal whose last process is gone
            data = b""
        if not data:
            self.close()
            return
        room = self._cap - len(self.data)
        self.data += data[:room]
        self.truncated = self.truncated or len(data) > room

    def close(self) -> None:
        """Stop reading and release the descriptor. Idempotent."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        if not self.ended.done():
            self.ended.set_result(None)


async def drain(readers: list[BoundedReader], *, within: float = 2.0) -> bool:
    """After a command has ended, wait for the end of its output; False when a process still holds it open."""
    done, _ = await asyncio.wait([reader.ended for reader in readers], timeout=within)
    return len(done) == len(readers)
