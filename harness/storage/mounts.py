"""On which kind of file system a path is; some are shared by machines whose SQLite cannot see each other."""

from __future__ import annotations

from pathlib import Path

TABLE = Path("/proc/self/mountinfo")
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "gpfs", "beegfs", "afs", "glusterfs"})
"""Kinds whose files several machines may open at the same time."""


def network_kind(path: Path, table: Path = TABLE) -> str:
    """The kind of network file system a path is on; empty for a local one, or where nobody tells."""
    try:
        lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, found = -1, ""
    place = path.resolve()
    for line in lines:
        left, _, right = line.partition(" - ")
        words = left.split()
        if len(words) < 5 or not right:
            continue
        mount = Path(words[4].replace("\\040", " "))
        if place.is_relative_to(mount) and len(mount.parts) >= best:  # of equal ones the last lies on top
            best, found = len(mount.parts), right.split()[0]
    kind = found.removeprefix("fuse.")
    return found if kind in NETWORK else ""
