"""Finds a task's data in the mirror, in the cache or among the fixtures, and checks its hashes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.catalog import registry
from harness.data.pins import CORE, Pin, Pins, pins, task_folder
from harness.data.verified import Verified
from harness.errors import DataError, MissingPart, UsageError
from harness.types import Source

FIXTURE = "fixture"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a task's data.

    Attributes:
        what: the file and what is wrong with it, in one line.
        fix: the command, or sentence, that mends it.
        corrupt: a file is there, but is not the pinned one.
    """

    what: str
    fix: str
    corrupt: bool = False

    def __str__(self) -> str:
        return f"{self.what}: {self.fix}"


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where a task's data is.

    Attributes:
        path: its folder, laid out as in the mirror.
        findings: missing and corrupt files; empty when all is there.
        digest: hash over the files' hashes, for the manifest.
    """

    path: Path
    source: Source
    findings: tuple[Problem, ...]
    digest: str

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each finding, with its fix."""
        return tuple(str(problem) for problem in self.findings)


def cache_folder() -> Path:
    """Where pulled and prepared data and built parts live: HARNESS_CACHE, else the platform's own place."""
    named = os.environ.get("HARNESS_CACHE")
    if named:
        return Path(named).expanduser()
    import pooch  # pyright: ignore[reportMissingTypeStubs]

    return Path(pooch.os_cache("agenttuning-harness"))


def writable(folder: Path) -> Path:
    """Make a folder of the cache where it is missing, and try to write in it.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        told = f"{folder} cannot be written ({error.strerror}): HARNESS_CACHE names another place"
        raise UsageError(told) from error


def data_folder(wanted: Pins) -> Path:
    """Where `data pull` and `data prepare` put a task's files."""
    return cache_folder() / "data" / wanted.folder


def resolve(task: str, mirror: str | None = None, split: str | None = None) -> Resolved:
    """Find a task's data.

    Where the mirror lacks files and the cache has them all, the cache is taken; a corrupt file in the mirror
    is always reported. A question set is read from its own folder, whatever the mirror is.

    Args:
        task: its name, or `core`.
        mirror: a mirror's folder, `fixture` for the data shipped with the task, None for the
            environment's HARNESS_MIRROR and, without it, the cache that `harness data pull` fills.
        split: only the files it reads are looked at and counted in the digest; None for all files.

    Raises:
        DataError: the task's `data.toml` is not of the documented form.
    """
    own = None if task == CORE else registry.question_set(task)
    if own is not None:
        text = "\n".join(f"{name} {digest}" for name, digest in sorted(own.digests().items()))
        findings = tuple(check(pins(task), own.path.parent))
        return Resolved(own.path.parent, "mirror", findings, hashlib.sha256(text.encode()).hexdigest()[:16])
    if mirror == FIXTURE:
        return _fixture(task)
    wanted = pins(task)
    listed, wanted = bool(wanted.files), wanted.of(split)
    if not listed:
        nothing = Problem(f"task {task} has no data.toml", "only its fixture runs (--mirror fixture)")
        return Resolved(data_folder(wanted), "cache", (nothing,), "")
    mirror = mirror or os.environ.get("HARNESS_MIRROR") or None
    if mirror is None:
        return _at(wanted, data_folder(wanted), "cache")
    base = Path(mirror).expanduser()
    if not base.is_dir():
        absent = Problem(f"the mirror {base} is not a folder", "give --mirror (or HARNESS_MIRROR) its path")
        return Resolved(base, "mirror", (absent,), "")
    found = _at(wanted, base / wanted.folder, "mirror")
    if found.findings and not any(problem.corrupt for problem in found.findings):
        cached = _at(wanted, data_folder(wanted), "cache")
        if not cached.findings:
            return cached
    return found


def check(wanted: Pins, folder: Path) -> list[Problem]:
    """Missing required files (those with one fix share a line) and corrupt ones (with both hashes)."""
    seen = Verified(cache_folder() / "verified.json")
    absent: dict[tuple[str, Path], list[str]] = {}
    found: list[Problem] = []
    for pin in wanted.files:
        path = wanted.place(folder, pin)
        if not path.is_file():
            if not pin.optional:
                where = folder.parent / pin.folder if pin.folder else folder
                absent.setdefault((pin.fix(wanted.task), where), []).append(pin.path)
        elif (wrong := corrupt(pin, path, seen, wanted.task)) is not None:
            found.append(wrong)
    seen.save()
    return found + [Problem(f"{_named(paths)} not in {where}", fix) for (fix, where), paths in absent.items()]


def corrupt(pin: Pin, path: Path, seen: Verified, task: str) -> Problem | None:
    """What is wrong with a file that is there; None when it is the pinned one."""
    try:
        digest = seen.sha256(path) if pin.sha256 else ""
    except OSError as error:
        return Problem(f"{path} cannot be read ({error.strerror})", "make it readable", corrupt=True)
    if digest == pin.sha256:
        return None
    what = f"{path} is corrupt, its sha256 is {digest}, pinned is {pin.sha256}"
    return Problem(what, f"delete it, then {pin.fix(task)}", corrupt=True)


def core_file(name: str, mirror: str | None = None) -> Path:
    """Path of a core file, such as the cl100k vocabulary, in the mirror or else in the cache.

    Args:
        name: its path in `core.toml`, after its folder where that is its own (`cardgame/prompts.json`).
        mirror: as for `resolve`; a fixture has no core files, so the environment decides.

    Raises:
        MissingPart: it is not there, with the fix.
        DataError: what is there is not the pinned file.
    """
    wanted = pins(CORE)
    pin = next((pin for pin in wanted.files if pin.name == name), None)
    if pin is None:
        raise MissingPart(f"core.toml lists no file {name}: choose one that `harness data list {CORE}` shows")
    base = None if mirror == FIXTURE else mirror
    base = base or os.environ.get("HARNESS_MIRROR") or None
    folders = [Path(base).expanduser() / wanted.folder] if base else []
    folders.append(data_folder(wanted))
    for path in (wanted.place(folder, pin) for folder in folders):
        if path.is_file():
            seen = Verified(cache_folder() / "verified.json")
            wrong = corrupt(pin, path, seen, CORE)
            seen.save()
            if wrong is not None:
                raise DataError(str(wrong))
            return path
    raise MissingPart(f"{name} is not in {folders[0].parent}: {pin.fix(CORE)}, or set HARNESS_MIRROR")


def _at(wanted: Pins, folder: Path, source: Source) -> Resolved:
    return Resolved(folder, source, tuple(check(wanted, folder)), _digest(wanted))


def _fixture(task: str) -> Resolved:
    folder = task_folder(task) / "fixture"
    found = () if folder.is_dir() else (Problem(f"task {task} ships no fixture", "give --mirror a folder"),)
    return Resolved(folder, "fixture", found, _tree_digest(folder))


def _named(paths: list[str]) -> str:
    if len(paths) == 1:
        return f"{paths[0]} is"
    return f"{len(paths)} files ({paths[0]}, ...) are"


def _digest(wanted: Pins) -> str:
    text = "\n".join(f"{pin.path} {pin.sha256}" for pin in wanted.files)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _tree_digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            total.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]
