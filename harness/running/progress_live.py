"""The live region of a terminal: log lines scroll above it, and never break it."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, cast

from harness.running.look import Look
from harness.running.progress import PlainProgress, Progress
from harness.running.progress_text import block, one_line
from harness.storage.store import Attempt

if TYPE_CHECKING:
    from rich.console import Console

log = logging.getLogger("harness.run")


class LiveProgress(PlainProgress):
    """Bars, facts and endpoints at the bottom of the screen.

    While it is shown, log lines and everything written to stderr pass through its console.
    """

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        super().__init__()
        self._console = console
        self._blocks = "━─" if console.encoding.lower().startswith("utf") else "#-"
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._streams: list[tuple[logging.StreamHandler[Any], Any]] = []

    def start(self, planned: dict[str, int], done: dict[str, int], turns: dict[str, int]) -> None:
        """Show the region, and lead log lines through it."""
        super().start(planned, done, turns)
        self._live.start()
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler):
                stream_handler = cast("logging.StreamHandler[Any]", handler)
                self._streams.append((stream_handler, stream_handler.setStream(sys.stderr)))
        self._show()

    def finished(self, attempt: Attempt) -> None:
        """Count an attempt; the next tick shows it."""
        self.tally.add(attempt)

    def tick(self, seen: Look) -> None:
        """Draw the region anew."""
        self.tally.see(seen)
        self.tell_outage(seen)
        self._show()

    def _show(self) -> None:
        from rich.text import Text

        width, height = self._console.size
        lines = block(self.tally, width, height, blocks=self._blocks)
        self._live.update(Text("\n".join(lines), no_wrap=True, overflow="crop"), refresh=True)

    def stop(self) -> None:
        """Take the region away and leave one line in its place."""
        if not self._live.is_started:
            return
        self._live.stop()
        for handler, stream in self._streams:
            handler.setStream(stream)
        self._streams.clear()
        self.tally.end()
        log.info(one_line(self.tally))


def for_terminal() -> Progress:
    """A live region when stderr is a terminal that can move its cursor, plain lines otherwise."""
    from rich.console import Console

    console = Console(stderr=True)
    plain = not console.is_terminal or console.is_dumb_terminal
    return PlainProgress() if plain else LiveProgress(console)
