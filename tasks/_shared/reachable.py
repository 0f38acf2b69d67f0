"""A folder for temporary files that programs of other users can enter."""

from __future__ import annotations

import tempfile
from pathlib import Path


def reachable_folder() -> str:
    """The system's temporary folder where every user can enter it, else /tmp."""
    wanted = Path(tempfile.gettempdir()).resolve()
    open_to_all = all(folder.stat().st_mode & 1 for folder in (wanted, *wanted.parents))
    return str(wanted) if open_to_all else "/tmp"
