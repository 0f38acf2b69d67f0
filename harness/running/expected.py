"""How many turns the episodes of a task take: as declared, and as the run has measured so far."""

from __future__ import annotations

from dataclasses import dataclass

from harness.types import Sample

DOUBT = 5.0
"""The declared turns weigh as much as this many measured episodes."""
OVERTIME = 0.25
"""An episode that has made all its expected turns is expected to make this share of them again."""


@dataclass(slots=True)
class Expected:
    """Expected turns of one task's episodes. They decide what is played and asked first, nothing else.

    Attributes:
        declared: turns of a sample that names none.
        played: measured episodes.
        ratio: sum over them of turns made by turns declared.
    """

    declared: float = 1.0
    played: int = 0
    ratio: float = 0.0

    @property
    def scale(self) -> float:
        """What declared turns are multiplied with."""
        return (DOUBT + self.ratio) / (DOUBT + self.played)

    def note(self, sample: Sample, turns: int) -> None:
        """Learn from an episode that has ended."""
        self.played += 1
        self.ratio += turns / self.told(sample)

    def told(self, sample: Sample) -> float:
        """Turns of an episode as declared; at least one."""
        return max(1.0, self.declared if sample.turns is None else sample.turns)

    def left(self, sample: Sample, made: int) -> float:
        """Turns that an episode is still expected to make after those it has made; at least one."""
        return max(1.0, self.told(sample) * self.scale - made, made * OVERTIME)
