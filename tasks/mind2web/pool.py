"""Which candidates of a step are asked about, five at a time, and what comes out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

BATCH = 5
TOP = 10
"""Candidates that the ranker put below this place are in the pool."""


class PageChoice(NamedTuple):
    """A candidate: its node id and the words that stand for it in the question."""

    id: str
    text: str


class CandidatePool:
    """The candidates of a step while it is played.

    A chosen candidate goes to the end of the pool and competes again; the step ends when less than two are
    left. Upstream never asks about one that is left over without having been chosen.
    """

    def __init__(self, ids: Sequence[str], *, ask_last: bool = False) -> None:
        self._left, self._ask_last = list(ids), ask_last
        self._asked: set[str] = set()
        self._batch: list[str] | None = None
        self._chosen: tuple[str, str] | None = None

    @property
    def unasked(self) -> int:
        """Candidates that were not asked about yet."""
        return sum(id not in self._asked for id in self._left)

    @property
    def prediction(self) -> tuple[str, str]:
        """The element chosen last and what to do with it; empty texts when none, or when none is left."""
        return self._chosen if self._chosen and self._left and self._batch is None else ("", "")

    def batch(self) -> list[str] | None:
        """Take the next candidates to ask about; None when the step has ended."""
        one = len(self._left) == 1 and self._ask_last and self._left[0] not in self._asked
        if len(self._left) < 2 and not one:
            self._batch = None
            return None
        self._batch, self._left = self._left[:BATCH], self._left[BATCH:]
        self._asked.update(self._batch)
        return self._batch

    def choose(self, id: str, action: str) -> None:
        """Keep a candidate of the batch."""
        self._left.append(id)
        self._chosen = id, action


def reachable(ids: Sequence[str], targets: Collection[str], *, ask_last: bool = False) -> bool:
    """Whether a player who always chooses a target ends with one.

    Only the candidate that is left over behind the last full batch is out of reach.
    """
    left_over = len(ids) % BATCH == 1 and not ask_last
    return any(id in targets for id in (ids[:-1] if left_over else ids))
