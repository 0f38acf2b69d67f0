"""A plan as lines for the person who started it."""

from __future__ import annotations

from harness.running.plan import Plan


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
        played = f"{episodes} episode{'' if episodes == 1 else 's'}{split}"
        lines.append(f"  {task.spec.name}: {played}, ~{turns} turn{'' if turns == 1 else 's'} each{source}")
    counts = ((len(plan.tasks), "task"), (total, "episode"), (requests, "request"))
    tasks, all_episodes, sent = (f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts)
    what = f"{tasks}, {all_episodes}, about {sent}"
    if work.repeats > 1 and not plan.request.models.sampling.draws:
        same = "where decoding is greedy each repeats the same draw, but for what the environment varies"
        lines.append(f"  --repeats {work.repeats}: {same}; --temperature T draws anew")
    return [f"plan: {what}, profile {work.profile}", *lines]
