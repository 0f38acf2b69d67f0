"""A pseudo-terminal with a program in it, and a reader of what its screen shows.

The reader knows what programs with a live region send: text, line feeds, carriage returns, and the escape
sequences that move the cursor and erase. Any other sequence fails the test, so nothing is misread in silence.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")
_TOKEN = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]|\x1b\][^\x07]*\x07|[\x00-\x1f]|[^\x00-\x1f\x1b]+")


class Screen:
    """Rows and columns of characters; what scrolls off the top is kept in `history`."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.history: list[str] = []
        self._cells = [[" "] * columns for _ in range(rows)]
        self._row = self._column = 0

    @property
    def lines(self) -> list[str]:
        """The screen's lines, without trailing blanks."""
        return ["".join(row).rstrip() for row in self._cells]

    @property
    def everything(self) -> list[str]:
        """All lines that were ever left standing, those that scrolled off first."""
        return [*self.history, *self.lines]

    def resize(self, columns: int, rows: int) -> None:
        """Take another size as xterm does: lines are cut, and the cursor's line stays in sight."""
        while self._row >= rows:
            self.history.append("".join(self._cells.pop(0)).rstrip())
            self._row -= 1
        wider = [" "] * max(0, columns - self.columns)
        self._cells = [[*row[:columns], *wider] for row in self._cells[:rows]]
        self._cells += [[" "] * columns for _ in range(rows - len(self._cells))]
        self.columns, self.rows, self._column = columns, rows, min(self._column, columns - 1)

    def feed(self, text: str) -> None:
        """Take what a program wrote."""
        for token in _TOKEN.findall(text):
            if found := _SEQUENCE.fullmatch(token):
                self._control(found[1], found[2])
            elif token == "\n":
                self._down()
            elif token == "\r":
                self._column = 0
            elif token >= " ":
                self._write(token)

    def _write(self, text: str) -> None:
        for character in text:
            if self._column == self.columns:
                self._column = 0
                self._down()
            self._cells[self._row][self._column] = character
            self._column += 1

    def _down(self) -> None:
        if self._row < self.rows - 1:
            self._row += 1
            return
        self.history.append("".join(self._cells.pop(0)).rstrip())
        self._cells.append([" "] * self.columns)

    def _control(self, given: str, what: str) -> None:
        number = int(given) if given.isdecimal() else 1
        if what == "A":
            self._row = max(0, self._row - number)
        elif what == "B":
            self._row = min(self.rows - 1, self._row + number)
        elif what == "K":
            start = 0 if given == "2" else self._column
            self._cells[self._row][start:] = [" "] * (self.columns - start)
        elif what not in "mhl":  # colours, and whether the cursor is shown
            raise ValueError(f"the screen does not know the sequence ESC[{given}{what}")


class Terminal:
    """A program in a pseudo-terminal.

    Args:
        command: what is run.
        cwd: where.
        columns: width.
        rows: height.
        environment: in addition to this process's.
    """

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path,
        *,
        columns: int = 80,
        rows: int = 24,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.screen = Screen(columns, rows)
        self._master, slave = pty.openpty()
        _set_size(slave, columns, rows)
        kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        env = kept | {"TERM": "xterm-256color", "LANG": "C.UTF-8"} | dict(environment or {})
        self.process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self._rest = b""
        self._ended = False

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(20)
        os.close(self._master)

    def until(self, seen: Callable[[Screen], bool], *, within_s: float = 60.0) -> None:
        """Read until the screen is as wanted, or fail with what it shows."""
        ends = time.monotonic() + within_s
        while not seen(self.screen):
            left = ends - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError("the screen shows:\n" + "\n".join(self.screen.everything))

    def shows(self, text: str, *, within_s: float = 60.0) -> None:
        """Read until a text stands on the screen."""
        self.until(lambda screen: any(text in line for line in screen.everything), within_s=within_s)

    def ended(self, *, within_s: float = 60.0) -> int:
        """Read to the end; the exit code."""
        self.until(lambda _: self._ended, within_s=within_s)
        return self.process.wait(20)

    def types(self, text: str) -> None:
        """Press keys."""
        data = text.encode()
        while data:
            data = data[os.write(self._master, data) :]

    def resize(self, columns: int, rows: int) -> None:
        """Drag the window to another size; what the program wrote for the old one is read before."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        while self._read(0):
            pass
        _set_size(self._master, columns, rows)
        self.screen.resize(columns, rows)
        self.process.send_signal(signal.SIGWINCH)
        self.process.send_signal(signal.SIGCONT)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def keep(self, path: Path) -> None:
        """Write the screen to a file, for people to look at."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(self.screen.lines) + "\n", encoding="utf-8")

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], timeout_s)
        if not ready:
            return False
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # the program has ended
            data = b""
        if not data:
            first, self._ended = not self._ended, True
            return first
        data = self._rest + data
        whole = _whole(data)
        self._rest = data[whole:]
        self.screen.feed(data[:whole].decode("utf-8"))
        return True


def _set_size(descriptor: int, columns: int, rows: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _whole(data: bytes) -> int:
    """How many bytes hold whole characters and whole escape sequences."""
    escape = data.rfind(b"\x1b")
    if escape >= 0 and not re.match(rb"\x1b(\[[?0-9;]*[A-Za-z]|\][^\x07]*\x07)", data[escape:]):
        return escape
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return len(data)
        if byte >= 0xC0:
            size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) if back >= size else len(data) - back
    return len(data)
