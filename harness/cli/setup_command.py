"""`harness setup`: builds a task's system parts through its own `setup.py`."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path
from typing import cast

import click

from harness.catalog import registry
from harness.errors import HarnessError, UsageError

log = logging.getLogger("harness.setup")

Build = Callable[[Path, Callable[[str], None]], None]


@click.command("setup")
@click.argument("tasks", nargs=-1)
@click.option("--ready-only", is_flag=True, help="Go on when a task's parts cannot be built here.")
def command(tasks: tuple[str, ...], *, ready_only: bool) -> int:
    """Build the system parts of TASKS (all tasks that have any, when none is named)."""
    from harness.data import cache_folder

    for name in tasks or registry.names():
        build = _builder(name)
        if build is None:
            if tasks:
                raise UsageError(
                    f"{name} has no system parts to set up: harness doctor {name} says what it needs"
                )
            continue
        try:
            build(cache_folder(), log.info)
        except HarnessError as error:
            if not ready_only:
                raise
            log.warning("%s is left out: %s", name, error)
    return 0


def _builder(name: str) -> Build | None:
    module = f"{registry.package(name)}.setup"
    if importlib.util.find_spec(module) is None:
        return None
    return cast(Build, importlib.import_module(module).setup)
