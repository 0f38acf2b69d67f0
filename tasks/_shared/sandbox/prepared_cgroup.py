"""A place for a sandbox, made before one is wanted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from tasks._shared.sandbox.reply import Reply
from tasks._shared.sandbox.spec import SandboxFault
from tasks._shared.sandbox.user_ids import IdRange

_PREPARE_S = 20.0


class PreparedCgroup:
    """Control groups with a process of the helper in them, which waits to become a sandbox.

    A process that moves to another control group waits for a grace period of the whole kernel, 10 ms and
    more on an idle machine. Nobody waits for it when it is over before the sandbox is asked for.

    Attributes:
        name: name of the control groups.
        ids: the host's user ids that the sandbox gets; whoever removes the groups closes them.
    """

    def __init__(self, name: str, ids: IdRange, preparing: Coroutine[Any, Any, Reply]) -> None:
        self.name = name
        self.ids = ids
        self._preparing = asyncio.ensure_future(preparing)
        self._used = False

    async def ready(self) -> bool:
        """Wait until the process waits; False when it never will, as its helper died or was silent."""
        try:
            await asyncio.shield(self._preparing)
        except SandboxFault:
            return False
        return True

    async def take(self, request: Mapping[str, Any], fds: Sequence[int]) -> Reply:
        """Tell the waiting process what sandbox to become; its answers come on the reply.

        Raises:
            SandboxFault: the helper could not make the groups, or the process is gone.
        """
        reply = await asyncio.shield(self._preparing)
        await reply.send_request(request, fds)
        self._used = True
        return reply

    async def release(self) -> None:
        """Let the process go; on return the helper makes nothing more, so the groups can be removed."""
        with contextlib.suppress(SandboxFault, TimeoutError):
            async with asyncio.timeout(_PREPARE_S):
                reply = await asyncio.shield(self._preparing)
                try:
                    if self._used:
                        await reply.text(b"}")
                finally:
                    reply.close()
