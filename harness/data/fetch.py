"""Brings pinned files into the cache: fetched from their address, or made by the task's prepare.py."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, cast

from harness import registry
from harness.data.pins import CORE, Pin, Pins, pins
from harness.data.resolve import cache_folder, check, corrupt, data_folder
from harness.data.verified import Verified
from harness.errors import DataError, MissingPart, UsageError

log = logging.getLogger("harness.data")

Prepare = Callable[[Path, Path], Sequence[Path]]
CHUNK = 1 << 16
TIMEOUT_S = (10.0, 60.0)


def pull(task: str) -> list[str]:
    """Fetch every `url` file of a task (or of `core`) that the cache lacks or has corrupt.

    Returns:
        One line for each required file that is still missing, with what to do about it.

    Raises:
        MissingPart: an address cannot be reached; what was fetched stays, and half a file is continued.
        DataError: what came is not the pinned file; both hashes are named.
    """
    wanted = pins(task)
    folder = data_folder(wanted)
    seen = Verified(cache_folder() / "verified.json")
    lacking = [
        pin
        for pin in wanted.files
        if pin.kind == "url"
        and (not (folder / pin.path).is_file() or corrupt(pin, folder / pin.path, seen, task))
    ]
    if lacking:
        log.info(
            "%s: %d files, %.1f MB to fetch into %s",
            task, len(lacking), sum(pin.size for pin in lacking) / 1e6, folder,
        )  # fmt: skip
    for pin in lacking:
        _fetch(pin, folder)
    return [str(problem) for problem in check(wanted, folder)]


def prepare(task: str, source: Path) -> list[Path]:
    """Make a task's derived files from what the user has; nothing reaches the cache unless all is right.

    Raises:
        UsageError: the task has nothing to prepare.
        DataError: a result is not what is pinned; both hashes are named.
    """
    wanted = pins(task)
    make = _preparer(task)
    folder = data_folder(wanted)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".prepare-", dir=folder.parent) as name:
        stage = Path(name)
        made = [path.relative_to(stage) for path in make(source, stage)]
        if wrong := _wrong(wanted, stage, made):
            raise DataError("\n".join([*wrong, f"nothing was installed; is {source} the pinned version?"]))
        for path in made:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (stage / path).replace(folder / path)
    return [folder / path for path in made]


def _preparer(task: str) -> Prepare:
    module = "" if task == CORE else f"{registry.package(task)}.prepare"
    try:
        there = bool(module) and importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the task is one module, not a package
        there = False
    if not there:
        raise UsageError(f"{task} has nothing to prepare: harness data pull {task}")
    return cast(Prepare, importlib.import_module(module).prepare)


def _wrong(wanted: Pins, stage: Path, made: Sequence[Path]) -> list[str]:
    """Lines for files that do not have their pinned hash."""
    lines: list[str] = []
    seen = Verified(stage / "verified.json")
    by_path = {Path(pin.path): pin for pin in wanted.files}
    for path in made:
        pin = by_path.get(path)
        if pin is not None and (problem := corrupt(pin, stage / path, seen, wanted.task)):
            lines.append(problem.what.replace(f"{stage}/", ""))
    return lines


def _fetch(pin: Pin, folder: Path) -> None:
    import pooch  # pyright: ignore[reportMissingTypeStubs]

    target = folder / pin.path
    known = f"sha256:{pin.sha256}" if pin.sha256 else None
    try:
        cast(Any, pooch).retrieve(
            pin.url, known, fname=target.name, path=target.parent, downloader=_Resumed(target)
        )
    except ValueError as error:  # pooch's word for a wrong hash; it names both and keeps nothing
        raise DataError(f"{pin.url}: {error}") from error
    except OSError as error:  # includes everything `requests` raises
        raise MissingPart(
            f"{pin.url} cannot be fetched ({error}): repeat the command, or bring the file to {target}"
        ) from error


class _Resumed:
    """A downloader for pooch that keeps what came before a broken connection and asks only for the rest."""

    def __init__(self, target: Path) -> None:
        self._part = target.with_name(f"{target.name}.part")

    def __call__(self, url: str, output_file: str | Path | IO[bytes], _: Any, **__: Any) -> None:
        import requests

        have = self._part.stat().st_size if self._part.is_file() else 0
        headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self._part.unlink()
            answer.raise_for_status()
            more = have and answer.status_code == requests.codes.partial_content
            with self._part.open("ab" if more else "wb") as file:
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
        if not isinstance(output_file, (str, Path)):
            raise TypeError("pooch hands over the path of a temporary file")
        shutil.move(self._part, output_file)
