"""Reports as earlier versions wrote them."""

from __future__ import annotations

from typing import Any

SINCE = ("ci", "notes")
"""Four samples had a bootstrap once, and notes were not in the JSON."""


def numbers(report: dict[str, Any]) -> dict[str, Any]:
    """What must not change from one version to the next: each task's numbers and episodes."""
    tasks: dict[str, dict[str, Any]] = report["tasks"]
    return {name: {k: v for k, v in task.items() if k not in SINCE} for name, task in tasks.items()}
