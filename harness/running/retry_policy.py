"""What a run does about infrastructure failures: try again, give a task up, or stop."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Literal

from harness.storage.store import Attempt

log = logging.getLogger(__name__)

Decision = Literal["retry", "give up", "end the task", "end the run"]

TRIES = 2
"""Attempts one command makes at an episode whose environment failed."""

ENDPOINT_FAILURES = 10
"""So many episodes in a row that the endpoint failed end the run; the same command resumes it."""

TASK_FAILURES = 40
"""So many failures of a task without one success in between end the task for this command."""

SHOWN = 3
"""Times one and the same failure of a task is logged; the store has every one."""


class RetryPolicy:
    """Counts failures as they come in and decides what follows each."""

    def __init__(self) -> None:
        self._endpoint = 0
        self._in_a_row: Counter[str] = Counter()
        self._seen: Counter[tuple[str, str]] = Counter()

    def success(self, task: str) -> None:
        """An episode came to its end."""
        self._endpoint = 0
        self._in_a_row[task] = 0

    def failed(self, attempt: Attempt, tries: int) -> Decision:
        """An attempt ended as `infra_error`; `tries` counts this command's attempts at the episode."""
        self._log(attempt)
        self._in_a_row[attempt.task] += 1
        if attempt.error.startswith("EndpointError"):
            self._endpoint += 1
            return "end the run" if self._endpoint >= ENDPOINT_FAILURES else "give up"
        if attempt.error.startswith("MissingRecord"):
            self._in_a_row[attempt.task] = 0  # nothing is broken: the recording lacks the answer
            return "give up"
        if self._in_a_row[attempt.task] >= TASK_FAILURES:
            return "end the task"
        return "retry" if tries < TRIES else "give up"

    def _log(self, attempt: Attempt) -> None:
        reason = attempt.error.strip().splitlines()[-1]
        self._seen[attempt.task, reason] += 1
        count = self._seen[attempt.task, reason]
        if count == 1:
            log.debug("%s", attempt.error)
        if count <= SHOWN:
            more = " (further ones like it are only counted)" if count == SHOWN else ""
            log.warning("%s %s: %s%s", attempt.task, attempt.sample, reason, more)
