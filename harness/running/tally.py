"""Counts what a run has done, and estimates from what was measured how long the rest takes."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import replace

from harness.running.look import Look
from harness.storage.store import Attempt

WINDOW_S = 120.0
"""Rates are taken over the last so many seconds."""
_ENOUGH_S, _ENOUGH_STEPS = 3.0, 5
_ALMOST = 0.95
"""Most that a live episode counts, as its number of turns is not known before its end."""


class Tally:
    """Counts of one command, shared by all kinds of progress.

    Attributes:
        planned: episodes by task.
        done: episodes with a result, those of earlier commands included.
        infra: attempts that failed for infrastructure.
        seen: the last look at the run.
        down: wall-clock time at which each endpoint that is down was seen to be so.
    """

    def __init__(self) -> None:
        self.planned: dict[str, int] = {}
        self.done: Counter[str] = Counter()
        self.infra: Counter[str] = Counter()
        self.seen = Look({})
        self.down: dict[str, float] = {}
        self._values: dict[str, list[float]] = {}
        self._expected: dict[str, int] = {}
        self._ended: dict[str, list[int]] = {}
        self._marks: deque[tuple[float, float, int]] = deque()

    def start(self, planned: dict[str, int], done: dict[str, int], turns: dict[str, int]) -> None:
        """Begin with what an earlier command left; `turns` is what a task's episodes are expected to take."""
        self.planned, self._expected = planned, turns
        self.done.update(done)

    def add(self, attempt: Attempt) -> None:
        """Count one attempt."""
        self._ended.setdefault(attempt.task, []).append(max(1, len(attempt.calls)))
        if attempt.outcome == "infra_error":
            self.infra[attempt.task] += 1
            return
        self.done[attempt.task] += 1
        if attempt.value is not None:
            self._values.setdefault(attempt.task, []).append(attempt.value)

    def see(self, seen: Look) -> None:
        """Take a look at the run."""
        self.seen, now = seen, time.monotonic()
        self._marks.append((now, self.steps, seen.tokens))
        while len(self._marks) > 2 and now - self._marks[0][0] > WINDOW_S:
            self._marks.popleft()
        for endpoint in seen.endpoints:
            if endpoint.healthy:
                self.down.pop(endpoint.url, None)
            else:
                self.down.setdefault(endpoint.url, time.time())

    def end(self) -> None:
        """Forget what the last look saw alive: nothing is once the command has ended."""
        self.seen = replace(self.seen, turns={}, flying=0, queued=0)

    @property
    def steps(self) -> float:
        """Turns made by this command's episodes, the live ones included."""
        return sum(map(sum, self._ended.values())) + sum(map(sum, self.seen.turns.values()))

    @property
    def complete(self) -> bool:
        """Whether every planned episode has a result."""
        return all(self.done[name] >= count for name, count in self.planned.items())

    def mean(self, task: str) -> float | None:
        """Mean value of the episodes that have one; None before the first."""
        values = self._values.get(task)
        return sum(values) / len(values) if values else None

    def share(self, task: str) -> float:
        """How much of a task is done, in episodes, with the parts of the live ones."""
        turns = self.turns(task)
        parts = sum(min(_ALMOST, made / turns) for made in self.seen.turns.get(task, ()))
        return min(float(self.planned[task]), self.done[task] + parts)

    def turns(self, task: str) -> float:
        """Turns of an episode: measured once there are enough, declared before."""
        ended = self._ended.get(task, [])
        return sum(ended) / len(ended) if len(ended) >= _ENOUGH_STEPS else max(1, self._expected.get(task, 1))

    def tokens_s(self) -> float:
        """Tokens generated per second, of late."""
        return self._rate(2)

    def left_s(self) -> float | None:
        """Estimated seconds to the end; None while too little is measured, or nothing moves."""
        left = sum((count - self.share(task)) * self.turns(task) for task, count in self.planned.items())
        rate = self._rate(1)
        return left / rate if rate > 0 and self.steps >= _ENOUGH_STEPS else None

    def _rate(self, column: int) -> float:
        if len(self._marks) < 2:
            return 0.0
        first, last = self._marks[0], self._marks[-1]
        spent = last[0] - first[0]
        return max(0.0, (last[column] - first[column]) / spent) if spent >= _ENOUGH_S else 0.0
