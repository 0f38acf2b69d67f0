"""Reads which pages are played."""

from __future__ import annotations

from harness.errors import DataError
from harness.types import TaskConfig


def pages_of(cfg: TaskConfig) -> list[str]:
    """The names of the pages in their order: AgentTuning's list, or all that the package has.

    Raises:
        DataError: the list is missing.
    """
    if cfg.options.variant == "farama":
        from tasks.miniwob import pages

        return pages.names(pages.package_html())
    path = cfg.data / "available_tasks.txt"
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}; get the task's data again") from error
