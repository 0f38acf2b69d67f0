"""Remembers files' hashes by size and time, so that a check need not read gigabytes again."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, cast


class Verified:
    """Files whose hash is known, kept in one JSON file of the cache.

    When the file cannot be read or written, hashes are computed again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = False
        self._known: dict[str, Any] = {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return
        if isinstance(found, dict):
            self._known = cast("dict[str, Any]", found)

    def sha256(self, path: Path) -> str:
        """Hash a file, or take the hash of its last reading when size and time are still the same.

        Raises:
            OSError: it cannot be read.
        """
        name = str(path.resolve())
        facts = path.stat()
        stamp = [facts.st_size, facts.st_mtime_ns]
        match self._known.get(name):
            case [size, time, str(digest)] if [size, time] == stamp:
                return digest
            case _:
                pass
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._known[name] = [*stamp, digest]
        self._changed = True
        return digest

    def save(self) -> None:
        """Write what is new, atomically."""
        if not self._changed:
            return
        part = self._path.with_suffix(f".{os.getpid()}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(self._known), encoding="utf-8")
            part.replace(self._path)
        except OSError:
            return
        self._changed = False
