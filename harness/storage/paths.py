"""The folder of one run: how `--new` makes one, and how one process at a time uses it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import StoreError, UsageError

MOST_PER_SECOND = 1000
"""Folders that `--new` may make within one second."""


def new(base: Path) -> Path:
    """Make a new folder named `base` and the time, also when several processes ask at once.

    Raises:
        UsageError: too many were made within this second.
        StoreError: it cannot be made.
    """
    stamped = f"{base.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("", *(f"-{n}" for n in range(2, MOST_PER_SECOND))):
            with contextlib.suppress(FileExistsError):
                directory = base.with_name(f"{stamped}{suffix}")
                directory.mkdir()
                return directory
    except OSError as error:
        raise StoreError(f"cannot make a run directory under {base.parent}: {error}") from error
    raise UsageError(f"{base.parent} has too many folders {stamped}-*: repeat the command")


@contextmanager
def hold(directory: Path) -> Generator[None]:
    """Be the only process that writes to a run directory; the lock of a process that ended does not count.

    Raises:
        UsageError: another process uses it, which the message names; or it cannot be made or written.
        StoreError: the disk is full.
    """
    from filelock import FileLock, Timeout

    told = directory / "run.holder"
    lock = FileLock(directory / "run.lock", timeout=0)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        who = holder(told) or "another process"
        raise UsageError(
            f"{directory} is in use by {who}: wait for it to end or stop it, or give another --out or --name"
        ) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StoreError(f"cannot open the run's store {directory}: {error}") from error
        raise UsageError(f"{directory} cannot be a run directory: {_reason(directory, error)}") from error
    try:
        with contextlib.suppress(OSError):
            told.write_text(note(str(directory.resolve())), encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            told.unlink()
        lock.release()


def _reason(directory: Path, error: OSError) -> str:
    """Why a run directory cannot be used, and what to do."""
    file = next((one for one in (directory, *directory.parents) if one.is_file()), None)
    why = f"{file} is a file" if file else f"{error.strerror or error}"
    return f"{why}; give --out a folder that can be written"


def note(directory: str) -> str:
    """JSON that tells waiting processes who holds a lock: process, host, time and run directory."""
    told = {"pid": os.getpid(), "host": socket.gethostname(), "directory": directory}
    return json.dumps(told | {"since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"})


def holder(path: Path) -> str:
    """Who wrote a file of `note`, in words; empty when it cannot be read."""
    try:
        return holder_of(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""


def holder_of(text: str) -> str:
    """Who wrote a `note`, in words; empty when it is none."""
    try:
        told: dict[str, Any] = json.loads(text)
        where = f", run directory {told['directory']}" if told["directory"] else ""
        return f"process {told['pid']} on {told['host']} since {told['since']}{where}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
