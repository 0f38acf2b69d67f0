"""Reports as earlier versions wrote them."""

from __future__ import annotations

from typing import Any

SINCE = ("ci", "notes")
"""Four samples had a bootstrap once, and notes were not in the JSON."""
TEXTS = ("answer", "target")
"""Of an episode; once no task said them."""


def numbers(report: dict[str, Any]) -> dict[str, Any]:
    """What must not change from one version to the next: each task's numbers and episodes."""
    tasks: dict[str, dict[str, Any]] = report["tasks"]
    return {
        name: {key: value for key, value in task.items() if key not in SINCE} | {"episodes": _bare(task)}
        for name, task in tasks.items()
    }


def _bare(task: dict[str, Any]) -> list[dict[str, Any]]:
    return [{key: value for key, value in one.items() if key not in TEXTS} for one in task["episodes"]]
