"""A plan as lines for the person who started it."""

from __future__ import annotations

from harness.running.plan import Plan
from harness.storage.words import counted


def describe(plan: Plan) -> list[str]:
    """Tasks with their episodes and turns, below a line with the sums."""
    work = plan.request.workload
    lines: list[str] = []
    total = requests = 0
    for task in plan.tasks:
        episodes, turns = len(task.samples) * work.repeats, task.spec.expected_turns
        total, requests = total + episodes, requests + episodes * turns
        source = "" if task.cfg.source != "fixture" else " (fixture: not the benchmark's data)"
        split = f" of split {task.split}" if task.split else ""
        played = f"{counted(episodes, 'episode')}{split}"
        lines.append(f"  {task.spec.name}: {played}, ~{counted(turns, 'turn')} each{source}")
    counts = (counted(len(plan.tasks), "task"), counted(total, "episode"))
    what = f"{', '.join(counts)}, about {counted(requests, 'request')}"
    if work.repeats > 1 and not plan.request.models.sampling.draws:
        same = "where decoding is greedy each repeats the same draw, but for what the environment varies"
        lines.append(f"  --repeats {work.repeats}: {same}; --temperature T draws anew")
    return [f"plan: {what}, profile {work.profile}", *lines]
