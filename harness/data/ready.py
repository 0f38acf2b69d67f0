"""Makes a task's data from everything a user has: copies pinned files, and runs prepare.py on the rest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.data.discover import Found, discover
from harness.data.pins import Pin, Pins, pins
from harness.data.prepare import Tell, prepare, preparer, quiet
from harness.data.resolve import Problem, cache_folder, check, corrupt, data_folder
from harness.data.verified import Verified
from harness.errors import HarnessError, UsageError


@dataclass(frozen=True, slots=True)
class Made:
    """What came of one task.

    Attributes:
        files: written into the cache.
        failures: why a source could not be used, a line each.
        left: what is still missing, each with its fix.
    """

    files: list[Path] = field(default_factory=list[Path])
    failures: list[str] = field(default_factory=list[str])
    left: list[Problem] = field(default_factory=list[Problem])


def make_ready(
    tasks: Sequence[str], named: Sequence[Path], tell: Tell = quiet, *, resume: bool = False
) -> Mapping[str, Made]:
    """Prepare as much of the tasks' data as the files in and below some folders allow.

    Raises:
        UsageError: a folder is not there, or nothing in any can be used.
    """
    for path in named:
        if not path.exists():
            raise UsageError(f"{path} is not there: give --from a folder with checkouts or downloads")
    lists = {task: pins(task) for task in tasks}
    found = discover(named, (pin for wanted in lists.values() for pin in wanted.files))
    if not found:
        looked = sorted({e.name for w in lists.values() for p in w.files for e in p.origins if e.repository})
        where = ", ".join(map(str, named))
        raise UsageError(
            f"nothing in or below {where} can be used; looked for checkouts of {', '.join(looked)}, "
            "and downloads (harness data status names them)"
        )
    return {task: _make(wanted, found, tell, resume=resume) for task, wanted in lists.items()}


def prepare_from(task: str, named: Sequence[Path], tell: Tell = quiet, *, resume: bool = False) -> list[Path]:
    """Make one task's data from what was named; its own prepare.py says what is wrong with it.

    Raises:
        UsageError: the task has nothing to prepare, or another process prepares it from the same source.
        DataError: a source is not the one that is needed.
    """
    wanted = pins(task)
    found = discover(named, wanted.files)
    written = _adopt(wanted, found, [])
    sources = _sources(wanted.files, found) or ([] if written else list(named))
    if not sources:
        return written
    together = preparer(task).together
    for given in [sources] if together else [[source] for source in sources]:
        written += prepare(task, given, tell, resume=resume)
    return written


def _make(wanted: Pins, found: Found, tell: Tell, *, resume: bool) -> Made:
    made = Made()
    made.files.extend(_adopt(wanted, found, made.failures))
    refused: list[str] = []
    while batch := _next(wanted, found, refused):
        try:
            made.files.extend(prepare(wanted.task, batch, tell, resume=resume))
        except HarnessError as error:
            made.failures.append(f"{', '.join(map(str, batch))}: {error}")
        refused += map(str, batch)
    made.left.extend(check(wanted, data_folder(wanted)))
    if not made.left:
        made.failures.clear()  # another source had what this one lacked
    return made


def _next(wanted: Pins, found: Found, tried: Sequence[str]) -> list[Path]:
    """The sources of the next call of prepare.py; none when nothing is lacking or all were tried."""
    lacking = _lacking(wanted)
    sources = [path for path in _sources(lacking, found) if str(path) not in tried]
    if not sources:
        return []
    return sources if preparer(wanted.task).together else sources[:1]


def _lacking(wanted: Pins) -> list[Pin]:
    seen, folder = Verified(cache_folder() / "verified.json"), data_folder(wanted)
    lacking: list[Pin] = []
    for pin in wanted.files:
        path = wanted.place(folder, pin)
        if not path.is_file() or corrupt(pin, path, seen, wanted.task):
            lacking.append(pin)
    return lacking


def _sources(lacking: Iterable[Pin], found: Found) -> list[Path]:
    """Sources for prepare.py: those that hold something a file without an address is made from."""
    paths = {entry.path for pin in lacking if pin.kind != "url" for entry in pin.origins}
    return [path for path, hits in found.items() if hits & paths]


def _adopt(wanted: Pins, found: Found, failures: list[str]) -> list[Path]:
    """Copy files with an address out of checkouts that hold the pinned ones."""
    seen, folder = Verified(cache_folder() / "verified.json"), data_folder(wanted)
    copied: list[Path] = []
    for pin in _lacking(wanted):
        if pin.kind != "url" or not pin.sha256:
            continue
        (entry,) = pin.origins
        held = [source / entry.path for source, hits in found.items() if entry.path in hits]
        whole = next((path for path in held if corrupt(pin, path, seen, wanted.task) is None), None)
        if whole is not None:
            copied.append(_copy(whole, wanted.place(folder, pin)))
        elif held:
            of = (
                f"the file of {entry.name} at commit {entry.commit}"
                if entry.repository
                else "the pinned file"
            )
            failures.append(f"{held[0]} is not {of}")
    seen.save()
    return copied


def _copy(source: Path, target: Path) -> Path:
    """Copy so that a file that is there is whole, whenever the copying ends."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    shutil.copyfile(source, part)
    part.replace(target)
    return target
