"""Brings pinned files into the cache: fetched from their address, or made by the task's prepare.py."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from harness import registry
from harness.data.pins import CORE, Pin, pins
from harness.data.resolve import cache_folder, check
from harness.errors import DataError, MissingPart, UsageError

log = logging.getLogger("harness.data")

Prepare = Callable[[Path, Path], Sequence[Path]]


def pull(task: str) -> list[str]:
    """Fetch every `url` file of a task (or of `core`) that the cache lacks.

    Returns:
        One line for each required file that is still missing, with what to do about it.

    Raises:
        MissingPart: an address cannot be reached; what was fetched stays.
        DataError: what came is not the pinned file; both hashes are named.
    """
    wanted = pins(task)
    folder = cache_folder() / "data" / wanted.folder
    lacking = [pin for pin in wanted.files if pin.kind == "url" and not _there(pin, folder)]
    if lacking:
        log.info("%s: %d files, %.1f MB to fetch", task, len(lacking), sum(p.size for p in lacking) / 1e6)
    for pin in lacking:
        _fetch(pin, folder)
    return check(wanted, folder)


def prepare(task: str, source: Path) -> list[Path]:
    """Make a task's derived files from what the user has.

    Raises:
        UsageError: the task has nothing to prepare.
        DataError: the result is not what is pinned.
    """
    module = f"{registry.package(task)}.prepare"
    if task == CORE or importlib.util.find_spec(module) is None:
        raise UsageError(f"{task} has nothing to prepare: harness data pull {task}")
    wanted = pins(task)
    folder = cache_folder() / "data" / wanted.folder
    folder.mkdir(parents=True, exist_ok=True)
    make = cast(Prepare, importlib.import_module(module).prepare)
    written = list(make(source, folder))
    made = {path.resolve() for path in written}
    wrong = [line for line in check(wanted, folder) if any(str(path) in line for path in made)]
    if wrong:
        raise DataError("\n".join(wrong))
    return written


def _there(pin: Pin, folder: Path) -> bool:
    path = folder / pin.path
    return path.is_file() and (not pin.size or path.stat().st_size == pin.size)


def _fetch(pin: Pin, folder: Path) -> None:
    import pooch  # pyright: ignore[reportMissingTypeStubs]
    import requests

    target = folder / pin.path
    known = f"sha256:{pin.sha256}" if pin.sha256 else None
    try:
        cast(Any, pooch).retrieve(pin.url, known, fname=target.name, path=target.parent)
    except requests.RequestException as error:
        raise MissingPart(
            f"{pin.url} cannot be fetched ({error}); bring the file to {target} yourself"
        ) from error
    except ValueError as error:  # pooch's word for a wrong hash; it names both and keeps nothing
        raise DataError(f"{pin.url}: {error}") from error
