"""The folder of site locks that all users of a machine have in common, and how its files are locked.

Any user may put anything into it. So no link is followed, no file that was there is written to, and what
another user wrote is read only as far as a note is long.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

NAMED = "HARNESS_LOCKS"
"""Environment variable that names another folder."""

COMMON = Path("/tmp/harness-sites")
"""Not below TMPDIR, which may be each user's own."""

OPEN_TO_ALL = 0o1777
"""Every user may add files, and remove only their own."""

NOTE_BYTES = 4096


def lock_folder(given: Path | None = None) -> Path:
    """The folder, made when it is not there.

    Args:
        given: another one than HARNESS_LOCKS or the machine's.

    Raises:
        OSError: it cannot be made, or is none that others can be trusted to share.
    """
    named = os.environ.get(NAMED)
    folder = given or (Path(named) if named else COMMON)
    if not folder.is_symlink() and not folder.exists():
        _make(folder)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{folder} is no folder")
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise PermissionError(f"in {folder} every user may remove the files of others (chmod +t)")
    return folder


def _make(folder: Path) -> None:
    """Make the folder under another name first, so that it appears only once every user may use it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    made.chmod(OPEN_TO_ALL)
    try:
        made.rename(folder)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        if not folder.is_dir():  # else another process was faster
            raise


def lock(path: Path, *, shared: bool) -> int | None:
    """Lock a file, made when it is not there; never waits.

    Returns:
        A descriptor to be closed, which unlocks it; None when another process holds it.

    Raises:
        OSError: the file cannot be made, opened or locked.
    """
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        with contextlib.suppress(PermissionError):
            os.utime(descriptor)  # what sweeps old files goes by their times
        if os.path.samestat(os.fstat(descriptor), path.lstat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass  # held, or swept between opening and locking
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    # Never with O_CREAT: the kernel refuses that for another user's file in a folder of this kind.
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        _put(path)
        descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileExistsError(f"{path} is no file")
    return descriptor


def _put(path: Path) -> None:
    """Make an empty file that every user can open from the moment it has its name."""
    made, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        os.fchmod(made, 0o666)
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.close(made)
        Path(name).unlink()


def write_note(path: Path, text: str) -> None:
    """Write a file that all may read; one of this name that is there already is removed first."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o644), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)


def read_note(path: Path) -> str:
    """The beginning of a file that anyone may have put there; empty when it is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(NOTE_BYTES).decode("utf-8", "replace")
