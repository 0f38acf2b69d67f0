"""Plans one sample of one task, for commands that look at it alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import MissingPart, UsageError

if TYPE_CHECKING:
    from harness.running.plan import Plan
    from harness.running.request import ModelChoice, Workload


def plan_of(task: str, sample: str | None, workload: Workload, models: ModelChoice) -> Plan:
    """The plan of a sample, or of the task's first when none is named.

    Raises:
        UsageError: there is no such task or sample.
        MissingPart: it cannot be played, with each thing that is missing.
    """
    from harness.running import plan as planning
    from harness.running.request import RunRequest
    from harness.running.samples import Limit

    only = replace(
        workload,
        tasks=(task,),
        samples=None if sample is None else (sample,),
        limit=Limit(1, "first") if sample is None else None,
    )
    plan = planning.make(RunRequest(only, models))
    if plan.missing or not plan.tasks:
        raise MissingPart("\n".join(line for lines in plan.missing.values() for line in lines))
    if not plan.tasks[0].samples:
        raise UsageError(f"{task} has no samples here")
    return plan
