"""Keeps the episodes of a night whose samples changed, so that a red night can be read anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.decisions.gate import GateVerdict, TaskVerdict
from harness.decisions.run_facts import RunFacts
from harness.storage.store_part import Copied, Wanted, copy_some

MOST_BYTES = 50_000_000
"""Bound on the calls of the kept episodes, as stored."""
FIRST = ("regression", "suspect")


def write(path: Path, store: Path, verdict: GateVerdict, facts: RunFacts) -> Copied:
    """Copy the changed samples' episodes to a store of their own; a file there is replaced.

    Args:
        path: of the copy.
        store: of the judged run.
        verdict: of the gate.
        facts: how the run was made.

    Raises:
        StoreError: the copy cannot be written.
    """
    told = f"only the samples that changed from the baseline, of {verdict.run}"
    return copy_some(store, path, wanted(verdict, facts), told=told, most_bytes=MOST_BYTES)


def wanted(verdict: GateVerdict, facts: RunFacts) -> Iterator[Wanted]:
    """The changed samples, those of suspect tasks first, and in a task those that fell."""
    tasks = sorted(verdict.tasks, key=lambda task: task.verdict not in FIRST)
    for task in tasks:
        version = int(facts.config["tasks"].get(task.task, {}).get("version", 0))
        yield from (Wanted(task.task, version, sample) for sample in _changed(task))


def _changed(task: TaskVerdict) -> Iterator[str]:
    yield from task.fell
    yield from task.rose
