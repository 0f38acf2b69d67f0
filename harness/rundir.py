"""A run's directory: opening it for a plan, refusing another run's, and what is left to play in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import manifest
from harness.completeness import incomplete_tasks
from harness.plan import Plan, TaskPlan
from harness.store import Item, Store


def remaining_items(plan: Plan, store: Store) -> set[Item]:
    """What is still to be played.

    Infra errors of a run that is complete within its tolerance are left alone unless asked for.
    """
    final = store.final_items()
    open_items = {item for item in plan.items() if item not in final}
    failed = {a.item for a in store.attempts() if a.outcome == "infra_error"} & open_items
    if plan.request.retry == "infra":
        return failed
    if failed == open_items and not incomplete_tasks(store):
        return set()
    return open_items


def open_store(plan: Plan) -> tuple[Store, Path]:
    """Open the run directory a plan means, and refuse another run's.

    Raises:
        UsageError: the directory holds a run of another configuration.
        StoreError: it cannot be written.
    """
    directory = plan.directory()
    if plan.request.new:
        directory = directory.with_name(f"{directory.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    store = Store(directory / "run.sqlite")
    old = store.meta("config")
    if old is not None:
        manifest.refuse_other(old, plain_json(plan.config()), directory)
    else:
        store.set_meta("config", plan.config())
        store.set_meta("missing", plan.missing)
        store.set_meta("specs", {plan.spec.name: _spec_facts(plan) for plan in plan.tasks})
        store.plan(plan.items())
    store.set_meta("environment", manifest.environment())
    return store, directory


def _spec_facts(plan: TaskPlan) -> dict[str, Any]:
    spec = plan.spec
    return {
        "metric": spec.metric,
        "unit": spec.unit,
        "suite": spec.suite,
        "excepts": dict(spec.excepts),
        "turns": spec.expected_turns,
    }


def plain_json(value: Any) -> Any:
    """A value as JSON would give it back."""
    return json.loads(json.dumps(value))
