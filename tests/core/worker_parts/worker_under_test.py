# ruff: noqa: T201 - it prints to disturb the frames
"""What the worker tests run in a child: well-behaved and badly behaved methods."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

print("printed while importing, before anything is served")
os.write(1, b"\x00\x00\x00\x02not a frame")


class Handler:
    def __init__(self) -> None:
        self.slots: dict[int, list[Any]] = {}
        self.hoard: list[bytes] = []
        marker = os.environ.get("WORKER_TEST_MARKER")
        if os.environ.get("WORKER_TEST_REFUSE"):
            print("no licence for this machine", file=sys.stderr)
            raise SystemExit(3)
        if marker:
            Path(marker).write_text(str(os.getpid()))

    def echo(self, value: Any) -> Any:
        return value

    def pid(self, slot: int = 0) -> int:
        return os.getpid()

    def append(self, slot: int, value: Any) -> list[Any]:
        self.slots.setdefault(slot, []).append(value)
        return self.slots[slot]

    def size(self, text: str) -> int:
        return len(text)

    def big(self, size: int) -> str:
        return "x" * size

    def chatter(self) -> str:
        print("a library prints")
        os.write(1, b"\xff\xff\xff\xff raw bytes on the descriptor\n")
        libc = ctypes.CDLL(None)
        libc.puts(b"printed from C")
        libc.fflush(None)
        return sys.stdin.read()  # stdin is empty, not the pipe

    def shout(self, times: int) -> int:
        for _ in range(times):
            sys.stderr.write("stderr line of some length to fill the ring\n")
        return times

    def raise_(self, message: str) -> None:
        raise ValueError(message)

    def exit(self) -> None:
        sys.exit(7)

    def die(self) -> None:
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    def forge(self) -> None:
        """Write to every descriptor there is, the private ones included."""
        for fd in range(3, 32):
            try:
                os.write(fd, b"\x00\x00\x00\x04junk")
            except OSError:
                continue

    def hang(self) -> None:
        threading.Event().wait()

    def wait(self, seconds: float) -> float:
        threading.Event().wait(seconds)
        return seconds

    def grow(self, megabytes: int) -> int:
        self.hoard.append(b"\x01" * (megabytes * 2**20))
        return megabytes

    def grow_and_hang(self, megabytes: int) -> None:
        self.grow(megabytes)
        self.hang()

    def spawn(self) -> int:
        return subprocess.Popen(["sleep", "600"]).pid

    def unpackable(self) -> object:
        return object()

    def environment(self, name: str) -> str | None:
        return os.environ.get(name)

    def _secret(self) -> str:
        return "private"


def handler() -> Handler:
    return Handler()
