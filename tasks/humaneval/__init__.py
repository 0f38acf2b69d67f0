"""HumanEval: 164 Python functions to complete, run in a sandbox."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.humaneval.task import TASK as TASK


def __getattr__(name: str) -> Any:
    if name == "TASK":
        from tasks.humaneval.task import TASK

        return TASK
    raise AttributeError(name)
