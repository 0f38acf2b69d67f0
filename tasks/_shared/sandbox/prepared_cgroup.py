"""Control groups and user ids that are prepared before a sandbox is asked for."""

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
    """Control groups with a process of the fork server in them, which waits to become a sandbox.

    Moving a process to another control group takes a grace period of the whole kernel, 10 ms and more on an
    idle machine. Preparing the next sandbox in advance hides it.

    Attributes:
        name: name of the control groups.
        ids: the host's user ids that the sandbox gets; closed by the caller that removes the groups.
    """

    def __init__(self, name: str, ids: IdRange, preparing: Coroutine[Any, Any, Reply]) -> None:
        self.name = name
        self.ids = ids
        self._preparing = asyncio.ensure_future(preparing)
        self._used = False

    async def ready(self) -> bool:
        """Wait until the process is ready; False when the fork server failed to prepare it."""
        try:
            await asyncio.shield(self._preparing)
        except SandboxFault:
            return False
        return True

    async def take(self, request: Mapping[str, Any], fds: Sequence[int]) -> Reply:
        """Send the waiting process the sandbox to become; its answers come on the reply.

        Raises:
            SandboxFault: the fork server could not make the groups, or the process is gone.
        """
        reply = await asyncio.shield(self._preparing)
        await reply.send_request(request, fds)
        self._used = True
        return reply

    async def release(self) -> None:
        """End the process. On return the fork server makes nothing more, so the groups can be removed."""
        with contextlib.suppress(SandboxFault, TimeoutError):
            async with asyncio.timeout(_PREPARE_S):
                reply = await asyncio.shield(self._preparing)
                try:
                    if self._used:
                        await reply.text(b"}")
                finally:
                    reply.close()
