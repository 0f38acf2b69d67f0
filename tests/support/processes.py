"""Whether processes that need not be ours have ended, and a wait until they have."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

WAIT_S = 20.0


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie that nobody reaps has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def exists(pid: int) -> bool:
    """Whether the kernel still knows a process, which it does until its parent has taken its exit code."""
    return Path(f"/proc/{pid}").exists()


async def until_gone(*pids: int, within_s: float = WAIT_S) -> None:
    """Wait until all have ended; raises TimeoutError when one has not by then."""
    async with asyncio.timeout(within_s):
        for pid in pids:
            await _until_gone(pid)


async def _until_gone(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
