"""Gives the judged episodes of a run their values, once every verdict that they need is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from harness.running.verdicts import Judge, Tally, Waiting, collect, missing
from harness.types import CallKey, Context, Pending, Verdict

if TYPE_CHECKING:
    from harness.episode import Task
    from harness.storage.store import Store, StoredAttempt


@dataclass(frozen=True, slots=True)
class Judged:
    """What a run looks like after judging: episodes with a value, and those that still wait."""

    tally: Tally
    resolved: int
    waiting: int


async def judge_run(
    store: Store, tasks: Mapping[str, tuple[Task, Context]], judge: Judge, told: str = "", role: str = "judge"
) -> Judged:
    """Judge what waits in a run and give each fully judged episode its value.

    Repeating it asks only for what is missing; another judge, or a higher `k`, replaces the values, and
    all verdicts stay.

    Args:
        store: the run's.
        tasks: the judged tasks of the run with their contexts, by name; others are not touched.
        judge: who judges, and how often.
        told: the judge as text, for reports.
        role: of the judge; episodes that wait for another role are not touched.
    """
    attempts = [a for a in store.attempts(final_only=True) if waits_for(a, role) and a.item.task in tasks]
    tally, resolved = Tally(), 0
    for name, (task, ctx) in tasks.items():
        own = [attempt for attempt in attempts if attempt.item.task == name]
        if not own:
            continue
        await collect(map(_waiting, own), store, judge, accepts=task.accepts, tally=tally)
        resolved += sum(_resolve(store, task, ctx, attempt, judge) for attempt in own)
        store.set_meta(f"judge/{name}", {"judge": judge.name, "k": judge.k, "told": told or judge.name})
        if tally.stopped:
            break
    return Judged(tally, resolved, len(attempts) - resolved)


def lacks(store: Store, tasks: Mapping[str, tuple[Task, Context]], judge: Judge, role: str) -> bool:
    """Whether verdicts are missing, so that the judge will be asked; arguments as for `judge_run`."""
    return any(
        missing([_waiting(attempt)], store, judge, tasks[attempt.item.task][0].accepts)
        for attempt in store.attempts(final_only=True)
        if waits_for(attempt, role) and attempt.item.task in tasks
    )


def waits_for(attempt: StoredAttempt, role: str) -> bool:
    """Whether an episode's value comes, or came, from such a judge."""
    return attempt.pending is not None and all(item.role == role for item in attempt.pending.items)


def _waiting(attempt: StoredAttempt) -> Waiting:
    item = attempt.item
    pending = cast(Pending, attempt.pending)
    return Waiting(attempt.id, CallKey(item.task, item.sample, item.repeat, attempt.calls), pending)


def _resolve(store: Store, task: Task, ctx: Context, attempt: StoredAttempt, judge: Judge) -> bool:
    """Value an episode whose verdicts are all there."""
    pending = cast(Pending, attempt.pending)
    found = store.verdicts(attempt.id, judge.name)
    wanted = [(item.key, number) for item in pending.items for number in range(judge.k)]
    if any(key not in found for key in wanted):
        return False
    score = task.resolve(ctx, pending, [Verdict(key, n, found[key, n]) for key, n in wanted])
    note = "; ".join(part for part in (pending.note, score.note, f"judged by {judge.name}") if part)
    store.value_pending(attempt.id, score.value, score.metrics, note)
    return True
