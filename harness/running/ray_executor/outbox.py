"""What a worker has not reported yet, within bounds: where the store lags, its episodes wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from harness.running.ray_executor.messages import packed
from harness.storage.records import Attempt, EpisodeKey

MOST_BYTES = 16 << 20
"""With so many bytes that nobody has fetched, no attempt is added: its episode stays live, and none starts in
its place."""

TOGETHER_S = 0.2
"""After the first news so long for more, which then travel together: a call of Ray costs as much as
some episodes."""


@dataclass(slots=True)
class Sent:
    """The content of an outbox."""

    attempts: list[bytes] = field(default_factory=list[bytes])
    returned: list[EpisodeKey] = field(default_factory=list[EpisodeKey])
    lost: dict[str, str] = field(default_factory=dict[str, str])


class Outbox(Sent):
    """Attempts that ended, episodes that are returned, and tasks that are lost."""

    __slots__ = ("_bytes", "_news", "_room")

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def put(self, attempt: Attempt) -> None:
        """Add an attempt, once there is room."""
        data = packed(attempt)
        while self._bytes >= MOST_BYTES:
            self._room.clear()
            await self._room.wait()
        self.attempts.append(data)
        self._bytes += len(data)
        self.ring()

    def ring(self) -> None:
        """Tell `news` that there is something."""
        self._news.set()

    async def news(self, limit_s: float) -> None:
        """Wait until there is something, but no longer than a time in seconds."""
        try:
            async with asyncio.timeout(limit_s):
                await self._news.wait()
        except TimeoutError:
            return
        await asyncio.sleep(TOGETHER_S)

    def empty(self) -> Sent:
        """Take everything out."""
        sent = Sent(self.attempts, self.returned, self.lost)
        self.attempts, self.returned, self.lost, self._bytes = [], [], {}, 0
        self._news.clear()
        self._room.set()
        return sent
