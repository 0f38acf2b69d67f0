"""What a live episode waits for, and since when."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Activity:
    """Written by the loop, read by the watchdog.

    Attributes:
        since: monotonic seconds.
        left: how many turns the episode and those that wait for it still make, by the turns it has made.
    """

    name: str = "start"
    since: float = field(default_factory=time.monotonic)
    turn: int = 0
    left: Callable[[int], float] = lambda made: math.inf

    def enter(self, name: str) -> None:
        """Begin waiting for something else."""
        self.name, self.since = name, time.monotonic()
