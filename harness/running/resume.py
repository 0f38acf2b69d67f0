"""Resumes a run: opens its store for a plan, refuses another run's, and says what is left to play."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.catalog import registry
from harness.errors import UsageError
from harness.running.plan import Plan, TaskPlan
from harness.storage import manifest
from harness.storage.completeness import incomplete_tasks
from harness.storage.store import EpisodeKey, Store
from harness.types import Sample


def remaining_items(plan: Plan, store: Store) -> set[EpisodeKey]:
    """What is still to be played.

    Infra errors of a run that is complete within its tolerance are not tried again unless requested.
    """
    final = store.final_items()
    open_items = {item for item in plan.items() if item not in final}
    failed = {a.item for a in store.attempts() if a.outcome == "infra_error"} & open_items
    if plan.request.execution.retry == "infra":
        return failed
    if failed == open_items and not incomplete_tasks(store):
        return set()
    return open_items


def open_store(plan: Plan, directory: Path) -> Store:
    """Open the store of a plan in a directory that the caller has locked, and refuse another run's.

    Raises:
        UsageError: the directory holds a run of another configuration, or of samples that were labelled
            otherwise.
        StoreError: it cannot be written.
    """
    store = Store(directory / "run.sqlite")
    old = store.meta("config")
    if old is not None:
        manifest.refuse_other(old, plain_json(plan.config()), directory)
        _refuse_relabelled(plan, store, directory)
    else:
        store.set_meta("config", plan.config())
        store.set_meta("missing", plan.missing)
        store.set_meta("specs", {plan.spec.name: _spec_facts(plan) for plan in plan.tasks})
        store.set_meta("chosen", {plan.spec.name: asdict(plan.chosen) for plan in plan.tasks})
        store.plan(plan.items())
        if plan.request.workload.shard is not None:
            store.set_meta("whole", {task.spec.name: list(task.whole) for task in plan.tasks})
    store.set_meta("labels", {task.spec.name: labels_digest(task.samples) for task in plan.tasks})
    return store


def labels_digest(samples: Sequence[Sample]) -> str:
    """Hash the labels and clusters of samples: they decide averages and intervals."""
    return manifest.config_hash({"labels": [[s.id, dict(s.labels), s.cluster] for s in samples]})


def _refuse_relabelled(plan: Plan, store: Store, directory: Path) -> None:
    """Refuse to go on when a task's samples carry other labels than those that were played."""
    known: Mapping[str, str] = store.meta("labels") or {}
    changed = {
        task.spec.name: {sample.id: sample for sample in task.samples}
        for task in plan.tasks
        if known.get(task.spec.name, digest := labels_digest(task.samples)) != digest
    }
    if not changed:
        return
    for attempt in store.attempts(final_only=True):
        sample = changed.get(attempt.item.task, {}).get(attempt.item.sample)
        if sample is None or (dict(attempt.labels), attempt.cluster) == (dict(sample.labels), sample.cluster):
            continue
        raise UsageError(
            f"{directory} holds {attempt.item.task} {sample.id} with labels {dict(attempt.labels)} and "
            f"cluster {attempt.cluster!r}, the task now gives {dict(sample.labels)} and {sample.cluster!r}: "
            "go on with the version that began the run, or give another --out or --name"
        )


def _spec_facts(plan: TaskPlan) -> dict[str, Any]:
    spec = plan.spec
    own = registry.question_set(spec.name)
    return {
        "metric": spec.metric,
        "unit": spec.unit,
        "suite": spec.suite,
        "excepts": dict(spec.excepts),
        "turns": spec.expected_turns,
        **({"file": str(own.path)} if own else {}),
    }


def plain_json(value: Any) -> Any:
    """A value as JSON would give it back."""
    return json.loads(json.dumps(value))
