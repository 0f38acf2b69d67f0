"""Checks a folder with T-Eval's published files and copies them: all eight of a split, or none."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from harness.data import Tell
from harness.errors import DataError
from tasks.teval.rows import ENDINGS, FILES, FIX, cases

_FOLDERS = ("", "data", "teval", "T-Eval/data", "teval/data")
"""Where the files may lie below what the user names."""


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Copy every split whose eight files are there.

    Raises:
        DataError: no split is whole, its files are of version 1, or a record is damaged.
    """
    found = {split: _files(source, ending) for split, ending in ENDINGS.items()}
    whole = {split: files for split, files in found.items() if len(files) == len(FILES)}
    if not whole:
        raise DataError(f"{source}: {_lacks(source, found)}; {FIX}")
    written: list[Path] = []
    total = len(whole) * len(FILES)
    for files in whole.values():
        for run, path in files.items():
            number = sum(1 for _ in cases(path, run))
            shutil.copyfile(path, target / path.name)
            written.append(target / path.name)
            tell(len(written), total, f"{path.name}, {number} cases")
    return written


def _files(source: Path, ending: str) -> dict[str, Path]:
    places = [source / folder for folder in _FOLDERS]
    found: dict[str, Path] = {}
    for run, stem in FILES.items():
        there = (place / f"{stem}{ending}" for place in places)
        if path := next((path for path in there if path.is_file()), None):
            found[run] = path
    return found


def _lacks(source: Path, found: Mapping[str, Mapping[str, Path]]) -> str:
    """What is wrong with a folder in which no split is whole."""
    if not source.is_dir():
        return "no folder; unpack the archive and name the folder"
    split = max(found, key=lambda name: len(found[name]))
    if not found[split]:
        old = [path for folder in _FOLDERS for path in (source / folder).glob("*_v1*.json")]
        return "its files are of version 1" if old else "none of T-Eval's files is there"
    missing = [f"{stem}{ENDINGS[split]}" for run, stem in FILES.items() if run not in found[split]]
    mixed = [name for name, files in found.items() if files]
    also = f" (it mixes files of {' and '.join(mixed)})" if len(mixed) > 1 else ""
    return f"{', '.join(missing)} missing{also}"
