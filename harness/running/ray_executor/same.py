"""Makes sure that workers play what the command would play: the same code, data, options and model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import harness
from harness.running.code import digest
from harness.running.plan import Plan, TaskPlan
from harness.running.resume import plain_json
from harness.storage.manifest import differing


def package() -> str:
    """Version of the harness with a hash over its Python files."""
    found = hashlib.sha256()
    root = Path(harness.__file__).resolve().parent
    for path in sorted(root.rglob("*.py")):
        found.update(f"{path.relative_to(root).as_posix()} {path.stat().st_size} ".encode())
        found.update(path.read_bytes())
    try:
        told = version("agenttuning-harness")
    except PackageNotFoundError:
        told = "unknown"
    return f"{told} ({found.hexdigest()[:12]})"


def task_facts(plan: TaskPlan) -> Mapping[str, Any]:
    """What of a task must be equal on all machines."""
    return plain_json({**plan.config(), "code": digest(plan.spec.name)})


def cannot_play(plan: Plan, wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Why this machine cannot play certain tasks, by task: parts are missing, or data and code differ."""
    own = {task.spec.name: task for task in plan.tasks}
    found: dict[str, str] = {}
    for name, facts in wanted.items():
        if name not in own:
            lines = plan.missing.get(name, [f"{name}: it is not installed"])
            found[name] = "; ".join(line.removeprefix(f"{name}: ") for line in lines)
        elif differences := differing(facts, task_facts(own[name])):
            found[name] = f"not the same as where the command runs (there): {'; '.join(differences)}"
    return found


def other_model(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Why a worker's endpoints serve another model than the command's; empty when they do not."""
    lines = differing(wanted, plain_json(dict(found)))
    return f"another model answers here (there: the command): {'; '.join(lines)}" if lines else ""
