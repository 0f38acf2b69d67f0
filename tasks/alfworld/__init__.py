"""ALFWorld: household games in text, as AgentTuning evaluates them (held-in suite)."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "TASK":
        from tasks.alfworld.task import TASK

        return TASK
    raise AttributeError(name)
