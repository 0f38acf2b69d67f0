"""Looks at every site before a run: is it there, is it the site it should be, can it be logged in to."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import HarnessError
from harness.needs import Need
from harness.types import TaskConfig
from tasks.webarena import config


def site_needs(cfg: TaskConfig) -> Sequence[Need]:
    """Need an address for every site."""
    del cfg

    def missing() -> str | None:
        try:
            unknown = config.load().unknown
        except HarnessError as error:
            return f"cannot be read: {error}"
        return f"have no address: {', '.join(unknown)}" if unknown else None

    return (Need("the sites", missing, config.FIX),)
