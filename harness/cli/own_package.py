"""Makes sure that `tasks` is this distribution's package, and no file of the user's with the same name."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from harness.errors import UsageError

NAME = "tasks"
ROOT = Path(__file__).resolve().parents[2]
"""The folder in which `harness` and `tasks` lie."""


def find_own_tasks() -> None:
    """Look for `tasks` where `harness` lies, before the folder that the command was started in.

    `python -m harness` puts that folder first on the path; a `tasks.py` in it would stand for all benchmarks.

    Raises:
        UsageError: another package of that name comes first all the same.
    """
    here = Path.cwd()
    if here != ROOT and sys.path and Path(sys.path[0] or here).resolve() == here:
        sys.path.append(sys.path.pop(0))  # a benchmark that lies there is still found
    spec = importlib.util.find_spec(NAME)
    places = ([spec.origin] if spec.origin else spec.submodule_search_locations or []) if spec else []
    found = [Path(place).resolve() for place in places]
    if found and not any(place.is_relative_to(ROOT / NAME) for place in found):
        raise UsageError(
            f"{found[0]} has the name of this harness's package `{NAME}` and comes before it on Python's "
            "path: rename it, take its folder out of PYTHONPATH, or install the harness in a new environment"
        )
