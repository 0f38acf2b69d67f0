"""GSM8K: grade-school mathematics with eight worked examples (AgentTuning's general suite)."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "TASK":
        from tasks.gsm8k.task import TASK

        return TASK
    raise AttributeError(name)
