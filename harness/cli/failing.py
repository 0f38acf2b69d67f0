"""Turns everything that can end a command into one line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from typing import TextIO

import click

from harness.errors import HarnessError, OtherStore, StoreError, cause
from harness.models import outside

_FIXES = {
    errno.EMFILE: "too many open files: allow more (ulimit -n 4096) or lower --concurrency",
    errno.ENFILE: "too many open files on this machine: close other programs or lower --concurrency",
    errno.ENOSPC: "no space left on the device: make room, then repeat the same command",
    errno.EBADF: "standard output is closed: write it to a file or to /dev/null",
}


def hold_descriptors() -> bool:
    """Open the null device where standard descriptors are closed; returns whether stdout was.

    A file or a socket would take the free number otherwise, and get what is printed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    closed = _is_none(sys.stdout)
    for name in ("stdout", "stderr"):
        if _is_none(getattr(sys, name)):
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    return closed


def _is_none(stream: TextIO | None) -> bool:
    """Whether the interpreter found a standard descriptor closed; libraries ask for `isatty` all the same."""
    return stream is None


def exit_code(error: BaseException) -> int:
    """Say what ended the command, in one message, and give its exit code."""
    error = cause(error)
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        return quiet()
    if isinstance(error, SystemExit):
        # Click exits so when the reader of stdout has closed it.
        if type(sys.stdout).__name__.endswith("PacifyFlushWrapper"):
            return quiet()
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        _say("interrupted")
        return 130
    if isinstance(error, click.ClickException):
        _say(error.format_message(), usage=error)
        return 2
    if isinstance(error, HarnessError):
        _say(f"harness: {error}")
        return 3 if isinstance(error, StoreError) and not isinstance(error, OtherStore) else 2
    if isinstance(error, OSError):
        _say(f"harness: {_FIXES.get(error.errno or 0) or error}")
        quiet()
        return 3 if error.errno == errno.ENOSPC else 2
    if isinstance(error, RecursionError):
        _say("harness: a file is nested too deeply to be read; give one that is not")  # no loader named it
        return 2
    _say(f"harness: unexpected {type(error).__name__}: {error}; please report it with the output of -v")
    _trace(error)
    return 1


def _say(text: str, usage: click.ClickException | None = None) -> None:
    prefix = "Error: " if usage is not None else ""
    try:
        if isinstance(usage, click.UsageError) and usage.ctx is not None:
            click.echo(usage.ctx.get_usage(), err=True)
        click.echo(prefix + outside.shown(text), err=True)
    except (OSError, ValueError):
        quiet()  # stderr is closed as well


def _trace(error: BaseException) -> None:
    import logging

    logging.getLogger("harness").debug("traceback", exc_info=error)


def quiet() -> int:
    """Discard what is still to be written: the interpreter flushes once more when it exits."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            os.dup2(null, 1 if stream is sys.stdout else 2)
    return 0
