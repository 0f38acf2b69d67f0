"""The world of a task that only asks questions and has no environment."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from harness.episode import BaseWorld, Episode
from harness.types import Capacity, Chat, Sample


class PlainWorld(BaseWorld):
    """Builds episodes from samples; has no process and no files."""

    capacity = Capacity(memory_mb=1, cpu=0.001)

    def __init__(
        self,
        build: Callable[[Sample], Episode],
        fingerprint: Mapping[str, str],
        notes: tuple[str, ...],
        comparable: str = "",
    ) -> None:
        self._build = build
        self.fingerprint = fingerprint
        self.notes = notes
        self.comparable = comparable

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> Episode:
        """Build an episode; the seed affects only the model's sampling."""
        del chats, seed
        return self._build(sample)


@asynccontextmanager
async def plain_world(
    build: Callable[[Sample], Episode],
    fingerprint: Mapping[str, str] | None = None,
    notes: tuple[str, ...] = (),
    comparable: str = "",
) -> AsyncGenerator[PlainWorld]:
    """Open a world that needs no opening and no closing.

    Args:
        build: makes an episode of a sample.
        fingerprint: hashes worth keeping in the manifest, such as that of the exemplars.
        notes: remarks that a reader needs to judge the score.
        comparable: why scores are not comparable with the published one; empty when they are.
    """
    yield PlainWorld(build, fingerprint or {}, notes, comparable)
