"""Says what WebArena's real sites take, and how to start them; the images are never pulled unasked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

LINES = (
    "WebArena's real sites are Docker images that this command does not pull.",
    "slim images: about 60 GB of disk, 16 GB of memory, 15 minutes; their wiki and map are not those of 2023",
    "images of 2023: about 1 TB of disk, 32 GB of memory, hours",
    "start them with docker/webarena/compose.yml, write webarena.toml, then: harness doctor webarena",
    "nothing of this is needed for: harness run --task webarena --split testsites",
)


def setup(cache: Path, tell: Callable[[str], None]) -> None:
    """Tell disk, memory and time of each way."""
    del cache
    for line in LINES:
        tell(line)
