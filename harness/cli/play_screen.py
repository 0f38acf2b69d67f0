"""The terminal at which a person plays: the one place where replies come from standard input."""

from __future__ import annotations

import asyncio
import os

import click

from harness.cli.screen import echo
from harness.running.person import Left

LINE_BYTES = 4095
"""More than these a terminal drops from a line that is typed."""


class PlayScreen:
    """Shows texts without control characters, and reads lines without blocking the environment.

    Args:
        descriptor: of the terminal.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._typed = bytearray()
        self._waiting: asyncio.Future[None] | None = None
        self.interrupted = False

    def show(self, text: str) -> None:
        """Print a text."""
        echo(text)

    async def line(self, prompt: str) -> str:
        """The next line that is typed.

        Raises:
            Left: Ctrl-D or Ctrl-C was pressed.
        """
        while True:
            click.echo(prompt, nl=False)
            line = await self._line()
            if len(line) < LINE_BYTES:
                return line.decode("utf-8", "replace")
            self.show(f"a terminal takes {LINE_BYTES:,} bytes a line, so this one was cut: part it with \\")

    def interrupt(self) -> bool:
        """Ctrl-C: the play ends where a line is awaited; returns whether this was the first time."""
        first, self.interrupted = not self.interrupted, True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Left("interrupted"))
        elif first:
            self.show("ending once the environment has answered; Ctrl-C again ends at once")
        return first

    async def _line(self) -> bytes:
        loop = asyncio.get_running_loop()
        if self.interrupted:
            raise Left("interrupted")
        while b"\n" not in self._typed:
            self._waiting = loop.create_future()
            loop.add_reader(self._descriptor, self._read, self._waiting)
            try:
                await self._waiting
            finally:
                loop.remove_reader(self._descriptor)
                self._waiting = None
        line, _, rest = bytes(self._typed).partition(b"\n")
        self._typed = bytearray(rest)
        return line

    def _read(self, waiting: asyncio.Future[None]) -> None:
        try:
            data = os.read(self._descriptor, 1 << 16)
        except OSError:  # the terminal is gone
            data = b""
        self._typed += data
        if waiting.done():
            return
        if data:
            waiting.set_result(None)
        else:
            waiting.set_exception(Left("no more input"))
