"""What `harness run --suite demo` says under its table: what was seen, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.catalog import registry, suites
from harness.errors import HarnessError
from harness.running.request import RunRequest

if TYPE_CHECKING:
    from harness.report.result import Report

SUITE = "demo"


def after(request: RunRequest, report: Report) -> Iterator[str]:
    """Lines for a run of the demo with the oracle, whose report was shown; none for other runs."""
    if request.models.model != "oracle" or SUITE not in request.workload.suites:
        return
    profile = request.workload.profile
    yield ""
    yield "The oracle knows the right answers. They went through the same server protocol, parsers and"
    yield "graders as a model's replies: a task that scores 100 here works on this machine."
    low = [
        name for name in suites.find(SUITE).tasks if _is_low(report, name) and _ceiling(name, request) < 100.0
    ]
    if low:
        yield f"{', '.join(low)} cannot reach 100: --profile {profile} keeps the released evaluation's"
        yield "rules, under which some right answers fail (each task's README says which)."
    yield ""
    yield "Next:"
    yield "  harness data status                           # what data the tasks need, and what brings it"
    yield "  harness doctor --model NAME --endpoint URL    # whether your model's server can be used"
    yield "  harness run --model NAME --endpoint URL --suite held-out --limit 5 --ready-only"


def _is_low(report: Report, name: str) -> bool:
    """Whether the task has a score here, below 100: the demo may hold no sample that fails."""
    found = report.tasks.get(name)
    return found is not None and found.score is not None and found.score < 100.0


def _ceiling(name: str, request: RunRequest) -> float:
    """What the oracle reaches on the task's fixture, in percent; 100 where nothing less is declared."""
    try:
        spec = registry.load(name).spec
    except HarnessError:  # it was left out of the run
        return 100.0
    return spec.ceiling.get((request.workload.profile, "fixture"), 100.0) if spec.unit == "percent" else 100.0
