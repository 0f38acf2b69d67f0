"""The child's side: keeps stdio from the environment, then serves calls one after another."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import queue
import signal
import sys
import threading
import traceback
from typing import Any

from harness.worker import frames

LINGER_S = 2.0
"""How long a call may still run after the parent closed the pipe."""

PR_SET_PDEATHSIG = 1
TRACE_LINES = 12


def main() -> None:
    """Serve the handler that `MODULE.handler()` builds until stdin ends.

    Arguments on the command line: the module, then the frame cap. Everything the environment prints, even
    while it is imported and even from C, goes to stderr; frames travel on private descriptors.
    """
    source, sink = _private_stdio()
    die_with_parent()
    module, cap = sys.argv[1], int(sys.argv[2])
    calls: queue.SimpleQueue[frames.Request | None] = queue.SimpleQueue()
    handler = importlib.import_module(module).handler()
    _write(sink, frames.encode(frames.Answer(0, ok=True, value=os.getpid())))
    threading.Thread(target=_listen, args=(source, cap, calls), daemon=True).start()
    while (call := calls.get()) is not None:
        _write(sink, _answered(handler, call, cap))
    close = getattr(handler, "close", None)
    if close is not None:
        close()


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies; does nothing where it cannot (not Linux).

    Descendants are not covered: a handler that starts processes has to call this in each of them.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _private_stdio() -> tuple[int, int]:
    """Keep the pipes under new descriptors that no grandchild inherits; 0 becomes empty, 1 becomes stderr."""
    source, sink = os.dup(0), os.dup(1)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return source, sink


def _listen(source: int, cap: int, calls: queue.SimpleQueue[frames.Request | None]) -> None:
    try:
        while head := _read(source, frames.HEAD):
            body = _read(source, frames.length(head, cap))
            if body is None:
                break
            calls.put(frames.request(body))
    finally:
        # The parent closed the pipe: end after the present call, or without it after LINGER_S.
        calls.put(None)
        threading.Event().wait(LINGER_S)
        os.killpg(0, signal.SIGKILL)


def _read(source: int, size: int) -> bytes | None:
    """Read exactly `size` bytes; None when the pipe ends before."""
    parts = bytearray()
    while len(parts) < size:
        part = os.read(source, min(size - len(parts), 2**20))
        if not part:
            return None
        parts += part
    return bytes(parts)


def _write(sink: int, frame: bytes) -> None:
    rest = memoryview(frame)
    while rest:
        rest = rest[os.write(sink, rest) :]


def _answered(handler: object, call: frames.Request, cap: int) -> bytes:
    """Carry out one call; whatever it raises, SystemExit included, is its answer."""
    try:
        if call.method.startswith("_"):
            raise AttributeError(f"{call.method} is private")
        value: Any = getattr(handler, call.method)(*call.args)
        return frames.encode(frames.Answer(call.number, ok=True, value=value), cap)
    except BaseException as error:
        return frames.encode(_failure(call.number, error, cap))


def _failure(number: int, error: BaseException, cap: int) -> frames.Answer:
    lines = "".join(traceback.format_exception(error)).splitlines()
    text = "\n".join(lines[-TRACE_LINES:])[: cap // 8]
    # A message may quote what made it fail, such as a lone surrogate.
    text = text.encode(errors="replace").decode()
    return frames.Answer(number, ok=False, kind=type(error).__name__, text=text)
