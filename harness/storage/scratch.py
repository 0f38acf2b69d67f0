"""Scratch folders of running processes; the next process removes those that a killed one left."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.errors import UsageError

log = logging.getLogger(__name__)

OWNER = "owner.lock"
"""A file in every scratch folder, locked as long as the process that made the folder lives."""

GUARD_S = 30.0
"""Longest wait for another process that makes or looks through scratch folders at this moment."""


@contextmanager
def scratch(prefix: str) -> Generator[Path]:
    """A new folder in the system's temporary folder, removed at the end.

    Folders with the same prefix whose process has ended are removed first. A process runs as long as it holds
    the lock in its folder; process ids would mislead, as they are used again and differ between containers.

    Args:
        prefix: begins the folder's name and should name its user, such as `harness-run-`.

    Raises:
        UsageError: the temporary folder cannot be used.
    """
    with ExitStack() as dead:
        try:
            folder, owner, orphans = _make(prefix, dead)
        except OSError as error:
            raise UsageError(
                f"no scratch folder in {tempfile.gettempdir()} ({error}): TMPDIR names another"
            ) from error
        for orphan in orphans:
            log.info("removing %s, left by a process that was killed", orphan)
            _remove(orphan)
    try:
        yield folder
    finally:
        _remove(folder)
        owner()


def _make(prefix: str, dead: ExitStack) -> tuple[Path, Callable[[], None], list[Path]]:
    """Make a folder and lock it; find the orphans, whose locks `dead` holds.

    Returns:
        The folder, what unlocks it, and the orphans.
    """
    from filelock import FileLock

    top = Path(tempfile.gettempdir())
    # No process may see a folder that is not locked yet. One guard per user: others cannot open it.
    with FileLock(top / f".{prefix}{os.getuid()}.lock", timeout=GUARD_S):
        orphans = [path for path in sorted(top.glob(f"{prefix}*")) if _is_orphan(path, dead)]
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=top))
        owner = FileLock(folder / OWNER, timeout=0)
        owner.acquire()
    return folder, owner.release, orphans


def _is_orphan(folder: Path, dead: ExitStack) -> bool:
    from filelock import FileLock

    with contextlib.suppress(OSError):
        if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.getuid():
            return False
        if not (folder / OWNER).is_file():
            folder.rmdir()  # its process ended while making or removing it; anything else is not ours
            return False
        lock = FileLock(folder / OWNER, timeout=0)
        lock.acquire()
        dead.callback(lock.release)
        return True
    return False


def _remove(folder: Path) -> None:
    """Remove a folder, its owner's file last: half removed it still counts as an orphan."""
    for path in list(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, onerror=_open_up)
        elif path.name != OWNER:
            path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _open_up(remove: Callable[..., object], path: str, _: object) -> None:
    """Try once more with the rights that an environment may have taken from its folders."""
    with contextlib.suppress(OSError):
        Path(path).parent.chmod(0o700)
        if Path(path).is_dir() and not Path(path).is_symlink():
            Path(path).chmod(0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            remove(path)
