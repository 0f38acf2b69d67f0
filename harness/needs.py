"""Checks for programs and packages a task needs, each with the fix `harness doctor` prints."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that must be present.

    Attributes:
        name: what it is, as a user would call it.
        missing: returns None when present, else what is wrong in a few words.
        fix: the command, or sentence, that brings it.
    """

    name: str
    missing: Callable[[], str | None]
    fix: str


def package(module: str, *, extra: str) -> Need:
    """Need a Python package that an extra of this distribution installs."""

    def missing() -> str | None:
        found = importlib.util.find_spec(module) is not None
        return None if found else "not installed"

    return Need(f"python package {module}", missing, f"pip install 'agenttuning-harness[{extra}]'")


def program(*names: str, apt: str) -> Need:
    """Need one of several programs on PATH, found in the Debian package `apt`."""

    def missing() -> str | None:
        found = any(shutil.which(name) for name in names)
        return None if found else "not on PATH"

    return Need(names[0], missing, f"apt-get install -y --no-install-recommends {apt}")
