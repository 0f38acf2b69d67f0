"""How a worker is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.worker import frames


@dataclass(frozen=True, slots=True)
class Launch:
    """How a worker is started.

    Attributes:
        module: has a function `handler()` that returns the object whose methods are called.
        env: further environment variables.
        start_s: how long the start may take, imports included.
        frame_cap: largest message in bytes, either way.
        memory_mb: resident memory above which the worker is killed.
    """

    module: str
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    start_s: float = 120.0
    frame_cap: int = frames.FRAME_CAP
    memory_mb: float = 4096.0
