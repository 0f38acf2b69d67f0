"""Whether a task's rows make a number: the one rule for infrastructure errors."""

from __future__ import annotations

from collections import Counter

from harness.store import Store

TOLERATED = 0.01


def tolerated(planned: int) -> int:
    """Most infrastructure errors a task of this size bears: 1 %, or one item when n <= 100."""
    return 1 if planned <= 100 else int(planned * TOLERATED)


def incomplete_tasks(store: Store) -> list[str]:
    """Tasks of a run that have no headline: not everything was tried, or too much of it failed."""
    planned = Counter(item.task for item in store.planned())
    final: Counter[str] = Counter()
    failed: dict[str, set[object]] = {}
    done: set[object] = set()
    for attempt in store.attempts():
        if attempt.final:
            final[attempt.item.task] += 1
            done.add(attempt.item)
        else:
            failed.setdefault(attempt.item.task, set()).add(attempt.item)
    lines: list[str] = []
    for task, count in planned.items():
        infra = len(failed.get(task, set()) - done)
        if final[task] + infra < count or infra > tolerated(count) or final[task] == 0:
            lines.append(task)
    return lines
