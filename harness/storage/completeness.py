"""Whether a task's episodes suffice for a score: the rule for infrastructure errors."""

from __future__ import annotations

from harness.storage.store import Store

TOLERATED = 0.01


def tolerated(planned: int) -> int:
    """Most infrastructure errors that leave a task its score: 1 %, or one episode when n <= 100."""
    return 1 if planned <= 100 else int(planned * TOLERATED)


def incomplete_tasks(store: Store) -> list[str]:
    """Tasks of a run that have no headline: not everything was tried, or too much of it failed."""
    return [
        task
        for task, (planned, final, failed) in store.progress().items()
        if final + failed < planned or failed > tolerated(planned) or final == 0
    ]
