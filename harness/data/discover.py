"""Finds, below folders a user names, the checkouts and downloads that tasks' data can be made from."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from harness.data.origins import ARCHIVES, Origin
from harness.data.pins import Pin

log = logging.getLogger("harness.data")

DEPTH = 3
"""Levels below a named folder that are looked through."""
MOST = 20_000
"""Most folders that are searched; the others are reported as not searched."""
_SKIPPED = frozenset({".git", ".venv", "node_modules", "__pycache__"})


Found = Mapping[Path, frozenset[str]]
"""Folders (and archives) that hold something, with the paths of origins that were found in each."""


def discover(named: Iterable[Path], pins: Iterable[Pin]) -> Found:
    """Look for what the pins come from.

    A checkout is a source as a whole: nothing inside it is taken for another one. Links are followed.

    Args:
        named: folders to look in and below, and archives.
        pins: files whose origins are looked for.
    """
    wanted = _by_first_part(pins)
    found: dict[Path, frozenset[str]] = {}
    seen: set[Path] = set()
    for top in named:
        if top.is_file():
            found |= {top: frozenset({top.name})}
        elif top.is_dir():
            found |= dict(_below(top, wanted, seen))
    if len(seen) >= MOST:
        log.warning("only %d folders were looked through: give --from the folders that matter", MOST)
    return found


def holder(sources: Iterable[Path], path: str) -> Path | None:
    """The first of some folders that holds a file, for a `prepare_together`."""
    return next((source for source in sources if (source / path).is_file()), None)


def _by_first_part(pins: Iterable[Pin]) -> Mapping[str, set[Origin]]:
    wanted: dict[str, set[Origin]] = defaultdict(set)
    for pin in pins:
        for entry in pin.origins:
            wanted[entry.path.partition("/")[0]].add(entry)
    return wanted


def _below(
    top: Path, wanted: Mapping[str, set[Origin]], seen: set[Path]
) -> Iterator[tuple[Path, frozenset[str]]]:
    level = [top]
    for _ in range(DEPTH + 1):
        deeper: list[Path] = []
        for folder in level:
            if len(seen) >= MOST or (real := folder.resolve()) in seen:
                continue
            seen.add(real)
            folders, hits = _look(folder, wanted)
            archives = {entry.path for entry in hits if entry.path.endswith(ARCHIVES)}
            yield from ((folder / name, frozenset({name})) for name in sorted(archives))
            if inside := frozenset(entry.path for entry in hits) - archives:
                yield folder, inside
            if not any(entry.repository for entry in hits):
                deeper += folders
        level = deeper


def _look(folder: Path, wanted: Mapping[str, set[Origin]]) -> tuple[list[Path], set[Origin]]:
    """The folders in a folder, and the origins it holds; nothing where it cannot be read."""
    try:
        entries = sorted(folder.iterdir())
        candidates = [entry for path in entries for entry in wanted.get(path.name, ())]
        hits = {entry for entry in candidates if _holds(folder, entry.path)}
        folders = [path for path in entries if path.name not in _SKIPPED and path.is_dir()]
    except OSError as error:
        log.warning("%s cannot be looked through (%s)", folder, error.strerror)
        return [], set()
    return folders, hits


def _holds(folder: Path, path: str) -> bool:
    return next(folder.glob(path), None) is not None if "*" in path else (folder / path).exists()
