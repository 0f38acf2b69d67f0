"""How a command that plays episodes ended, and its exit code."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Summary:
    """How a command ended.

    Attributes:
        already: there was nothing to play.
        empty: nor was there ever, because this shard has no episodes.
        lost: tasks whose world did not open, with the reason.
        stopped: why it ended early, empty when it did not.
        incomplete: tasks that have no headline yet.
        unjudged: tasks with answers that wait for a judge.
        unembedded: tasks with answers that wait for an embedder, where none was named; the run is complete.
        unread: verdicts that cannot be read.
    """

    directory: Path
    played: int = 0
    already: bool = False
    empty: bool = False
    interrupted: bool = False
    stopped: str = ""
    lost: dict[str, str] = field(default_factory=dict[str, str])
    incomplete: list[str] = field(default_factory=list[str])
    unjudged: list[str] = field(default_factory=list[str])
    unembedded: list[str] = field(default_factory=list[str])
    unread: int = 0

    @property
    def exit_code(self) -> int:
        """0 complete, 3 incomplete, 130 interrupted."""
        if self.interrupted:
            return 130
        return 3 if any((self.incomplete, self.stopped, self.lost, self.unjudged, self.unread)) else 0
