"""What a live episode waits for, and since when."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Activity:
    """Written by the loop, read by the watchdog; `since` is in monotonic seconds."""

    name: str = "start"
    since: float = field(default_factory=time.monotonic)
    turn: int = 0

    def enter(self, name: str) -> None:
        """Begin waiting for something else."""
        self.name, self.since = name, time.monotonic()
