"""Finds a task's data in the mirror, in the cache or among the fixtures, and checks its hashes."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.data.pins import CORE, Pin, Pins, pins, task_folder
from harness.errors import MissingPart
from harness.types import Source

FIXTURE = "fixture"


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where a task's data is.

    Attributes:
        path: its folder, laid out as in the mirror.
        problems: one line for each missing or corrupt file, with the fix; empty when all is there.
        digest: hash over the files' hashes, for the manifest.
    """

    path: Path
    source: Source
    problems: tuple[str, ...]
    digest: str


def cache_folder() -> Path:
    """Where pulled and prepared data and built parts live: HARNESS_CACHE, else the platform's own place."""
    named = os.environ.get("HARNESS_CACHE")
    if named:
        return Path(named)
    import pooch  # pyright: ignore[reportMissingTypeStubs]

    return Path(pooch.os_cache("agenttuning-harness"))


def resolve(task: str, mirror: str | None = None) -> Resolved:
    """Find a task's data.

    Args:
        task: its name, or `core`.
        mirror: a mirror's folder, `fixture` for the data shipped with the task, None for the
            environment's HARNESS_MIRROR and, without it, the cache that `harness data pull` fills.
    """
    wanted = pins(task)
    if mirror == FIXTURE:
        return _fixture(task)
    mirror = mirror or os.environ.get("HARNESS_MIRROR") or None
    base = Path(mirror) if mirror else cache_folder() / "data"
    if mirror and not base.is_dir():
        return Resolved(base, "mirror", (f"the mirror {base} is not a folder: give --mirror its path",), "")
    folder = base / wanted.folder
    problems = (
        check(wanted, folder) if wanted.files else [f"task {task} has no data.toml: only its fixture runs"]
    )
    return Resolved(folder, "mirror" if mirror else "cache", tuple(problems), _digest(wanted))


def check(wanted: Pins, folder: Path) -> list[str]:
    """Lines for required files that are missing (those with one fix share a line) and for corrupt ones."""
    seen = _Verified(cache_folder() / "verified.json")
    absent: dict[str, list[str]] = {}
    lines: list[str] = []
    for pin in wanted.files:
        path = folder / pin.path
        if not path.is_file():
            if not pin.optional:
                absent.setdefault(pin.fix(wanted.task), []).append(pin.path)
        elif wrong := _corrupt(pin, path, seen):
            lines.append(f"{path} has sha256 {wrong}, pinned is {pin.sha256}: {pin.fix(wanted.task)}")
    seen.save()
    return lines + [f"{_named(paths)} not in {folder}: {fix}" for fix, paths in absent.items()]


def _named(paths: list[str]) -> str:
    if len(paths) == 1:
        return f"{paths[0]} is"
    return f"{len(paths)} files ({paths[0]}, ...) are"


def core_file(name: str, mirror: str | None = None) -> Path:
    """Path of a core file such as the cl100k vocabulary.

    Raises:
        MissingPart: it is not there, with the fix.
    """
    found = resolve(CORE, None if mirror == FIXTURE else mirror)
    path = found.path / name
    if not path.is_file():
        raise MissingPart(f"{name} is not in {found.path}: harness data pull {CORE}, or set HARNESS_MIRROR")
    return path


def _fixture(task: str) -> Resolved:
    folder = task_folder(task) / "fixture"
    problems = () if folder.is_dir() else (f"task {task} ships no fixture: give --mirror a folder",)
    return Resolved(folder, "fixture", problems, _tree_digest(folder))


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


def _corrupt(pin: Pin, path: Path, seen: _Verified) -> str | None:
    """The file's hash when it is not the pinned one."""
    if not pin.sha256 or seen.knows(path, pin.sha256):
        return None
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != pin.sha256:
        return found
    seen.add(path, found)
    return None


class _Verified:
    """Remembers files whose hash was right, by size and time: a preflight need not read them again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = False
        try:
            self._known: dict[str, list[int | str]] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}

    def knows(self, path: Path, sha256: str) -> bool:
        return self._known.get(str(path)) == self._stamp(path, sha256)

    def add(self, path: Path, sha256: str) -> None:
        self._known[str(path)] = self._stamp(path, sha256)
        self._changed = True

    def _stamp(self, path: Path, sha256: str) -> list[int | str]:
        facts = path.stat()
        return [facts.st_size, facts.st_mtime_ns, sha256]

    def save(self) -> None:
        """Write atomically; a cache that cannot be written only costs time."""
        if not self._changed:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps(self._known), encoding="utf-8")
            part.replace(self._path)
        except OSError:
            return
