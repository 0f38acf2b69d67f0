"""OS interaction (AgentBench): answer questions about a Linux system, or change it, through bash."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.os.task import TASK as TASK


def __getattr__(name: str) -> Any:
    if name == "TASK":
        from tasks.os.task import TASK

        return TASK
    raise AttributeError(name)
