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


async def until_gone(*pids: int) -> None:
    """Wait until all have ended, at most `WAIT_S` for each."""
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
        await asyncio.wait_for(ended.wait(), WAIT_S)
    finally:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
