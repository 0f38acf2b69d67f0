"""The names that live episodes of a run hold, exclusively or shared."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.running.queue import QueuedEpisode
from harness.running.site_locks import SiteLocks


@dataclass(slots=True)
class LockTable:
    """Names held by the live episodes of a run; an episode gets all of its names at once or none."""

    sites: SiteLocks
    _alone: set[str] = field(default_factory=set[str])
    _sharers: Counter[str] = field(default_factory=Counter[str])
    _claims: dict[str, dict[str, QueuedEpisode]] = field(default_factory=dict[str, dict[str, QueuedEpisode]])
    _tickets: itertools.count[int] = field(default_factory=itertools.count)

    def take(self, entry: QueuedEpisode, task: str, startable: Callable[[str], bool]) -> bool:
        """Take all names of an episode, unless one is held or another task has waited longer for it.

        Args:
            entry: the episode.
            task: its task.
            startable: whether a task could start an episode now; one that could not keeps no other waiting.
        """
        if not self._free(entry) or self._is_behind(entry, task, startable):
            self._claim(entry, task)
            return False
        self._unclaim(entry, task)
        # Without a claim where it fails: a site that another process holds delays no other task of this one.
        if not self.sites.take(entry.alone, entry.shared):
            return False
        self._alone |= entry.alone
        self._sharers.update(entry.shared)
        return True

    def give(self, entry: QueuedEpisode) -> None:
        """Give an episode's names back."""
        self._alone -= entry.alone
        if entry.shared:
            self._sharers.subtract(entry.shared)
            self._sharers += Counter()  # drops those that are down to 0
        self.sites.give(entry.names)

    def _free(self, entry: QueuedEpisode) -> bool:
        alone = not any(name in self._alone or name in self._sharers for name in entry.alone)
        return alone and not any(name in self._alone for name in entry.shared)

    def _claim(self, entry: QueuedEpisode, task: str) -> None:
        if entry.ticket is None:
            entry.ticket = next(self._tickets)
        for name in entry.names:
            self._claims.setdefault(name, {})[task] = entry

    def _unclaim(self, entry: QueuedEpisode, task: str) -> None:
        entry.ticket = None
        for name in entry.names:
            claims = self._claims.get(name, {})
            if claims.pop(task, None) is not None and not claims:
                del self._claims[name]

    def _is_behind(self, entry: QueuedEpisode, task: str, startable: Callable[[str], bool]) -> bool:
        mine = entry.ticket
        return any(
            other != task
            and claim.waiting
            and claim.ticket is not None
            and (mine is None or claim.ticket < mine)
            and startable(other)
            for name in entry.names
            for other, claim in self._claims.get(name, {}).items()
        )
