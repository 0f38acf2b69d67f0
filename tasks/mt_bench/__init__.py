"""MT-Bench: two-turn questions whose answers a judge rates from 1 to 10 (AgentTuning's general suite)."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "TASK":
        from tasks.mt_bench.task import TASK

        return TASK
    raise AttributeError(name)
