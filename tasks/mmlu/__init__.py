"""MMLU: 57 subjects of multiple-choice questions, ranked by likelihood (AgentTuning's general suite)."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "TASK":
        from tasks.mmlu.task import TASK

        return TASK
    raise AttributeError(name)
