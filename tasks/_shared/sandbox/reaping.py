"""A bounded wait for a process that was killed."""

from __future__ import annotations

import asyncio

from tasks._shared.sandbox.spec import SandboxFault

KILLED_S = 10.0


async def wait_killed(process: asyncio.subprocess.Process, what: str) -> None:
    """Wait for a process that was sent SIGKILL.

    Raises:
        SandboxFault: it is still there after 10 s, stuck in the kernel.
    """
    try:
        await asyncio.wait_for(process.wait(), KILLED_S)
    except TimeoutError as error:
        raise SandboxFault(
            f"{what} (process {process.pid}) is still there {KILLED_S:g} s after SIGKILL"
        ) from error
