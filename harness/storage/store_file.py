"""The SQLite file of a run: opening, committing in groups, and one clear line for everything that fails."""

from __future__ import annotations

import errno
import fcntl
import sqlite3
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import OtherStore, StoreError
from harness.storage import schema

if TYPE_CHECKING:
    import asyncio

FIXES = {
    "SQLITE_NOTADB": "it is no run's store; move it away, or restore it from a copy",
    "SQLITE_CORRUPT": "it is damaged or cut off; restore it from a copy, or move it away and run again",
    "SQLITE_BUSY": "another process holds it; wait for that one to end",
    "SQLITE_LOCKED": "another process holds it; wait for that one to end",
    "SQLITE_READONLY": "make the file and its folder writable",
    "SQLITE_CANTOPEN": "make the file and its folder readable and writable for this user",
    "SQLITE_PERM": "make the file and its folder readable and writable for this user",
    "SQLITE_FULL": "make room on the disk",
    "SQLITE_IOERR": "check the disk, and that it has room",
}
"""What to do about an error, by the start of SQLite's name for it."""

TOGETHER_S = 0.02
"""How long a write waits for others of its loop; a kill loses what ended within it like what still ran."""
MOST_TOGETHER = 32
"""Writes after which it waits no longer: a full disk loses no more than these."""

WAIT_S = 30
FOLD_WAIT_MS = 2_000
"""Closing waits no longer than this for readers; the last process that closes then folds the WAL in."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

_STEP = 4096
"""Pages copied at a time: 16 MB, after which the copying process may be interrupted."""


class StoreFile:
    """One connection to a run's file. All methods are synchronous and short; writers call from one thread.

    Attributes:
        version: of the file as it is now; a file of version 1 keeps it when opened read-only.

    Raises:
        StoreError: the file cannot be opened, read or written; nothing committed is lost.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self._readonly = readonly
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due = 0
        self._failed: Exception | None = None
        try:
            self._db = _open_to_read(path) if readonly else _open_to_write(path)
            self.version = schema.version_of(self._db)
            self.tables = schema.table_names(self._db)
        except (sqlite3.Error, OSError, StoreError) as error:
            kind = OtherStore if isinstance(error, OtherStore) else StoreError
            raise kind(f"cannot open the run's store {path}: {_with_fix(error)}") from error

    def close(self) -> None:
        """Commit what is due, fold the WAL in and close: the one file is then the whole run."""
        self._commit()
        if not self._readonly:
            with suppress(sqlite3.Error):  # what is not folded in stays in the WAL, and is read from there
                self._db.execute(f"PRAGMA busy_timeout = {FOLD_WAIT_MS}")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._db.close()

    def commit_later(self, loop: asyncio.AbstractEventLoop) -> None:
        """Commit together what is written within `TOGETHER_S`, on an event loop's clock.

        Episodes that end in the same instant then share a commit, which costs more than everything else about
        storing them; each is still stored whole or not at all, and `flush` commits at once.
        """
        self._loop = loop

    def flush(self) -> None:
        """Commit what is due.

        Raises:
            StoreError: this or an earlier commit failed; what it held is played again by the next command.
        """
        self._commit()
        self._refuse_after_failure()

    def _commit(self) -> None:
        self._due = 0
        self._write_waiting()
        try:
            self._db.commit()
        except sqlite3.Error as error:
            self._fail(error)
        if self._failed is None and not self._readonly:
            self._failed = _gone(self.path)

    def _write_waiting(self) -> None:
        """Write rows that wait to be written together; a failure is told by the next write or `flush`."""

    def _commit_soon(self) -> None:
        """Commit what was written, alone or with what else is written on the loop within `TOGETHER_S`."""
        if self._loop is None:
            self.flush()
            return
        self._due += 1
        if self._due == 1:
            self._loop.call_later(TOGETHER_S, self._commit)
        elif self._due >= MOST_TOGETHER:
            self._commit()

    def _fail(self, error: sqlite3.Error) -> None:
        self._failed = error
        self._db.rollback()

    def _refuse_after_failure(self) -> None:
        if self._failed is not None:
            raise self._error(self._failed) from self._failed

    def _error(self, error: Exception) -> StoreError:
        if isinstance(error, OSError):
            return StoreError(
                f"the run's store {self.path} is gone: its folder was moved or deleted while this command "
                "wrote to it; move it back, then repeat the same command"
            )
        return StoreError(
            f"cannot write the run's store {self.path}: {error}; make room or make it writable, "
            "then repeat the same command"
        )

    def copy_to(self, path: Path) -> None:
        """Copy the run as it is at this moment to a new file, while another process may write on.

        Raises:
            StoreError: this file cannot be read, or that one not written; what is there is then no copy.
        """
        busy_until = time.monotonic() + WAIT_S

        def wait(status: int, remaining: int, total: int) -> None:
            del remaining, total
            if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > busy_until:
                raise StoreError(f"cannot read the run's store {self.path}: {FIXES['SQLITE_BUSY']}")

        try:
            self._db.execute("BEGIN")  # one snapshot for all steps: a write in between would restart the copy
            schema.table_names(self._db)
            with closing(sqlite3.connect(path)) as copy:
                self._db.backup(copy, pages=_STEP, progress=wait)
                copy.execute("PRAGMA journal_mode=DELETE")  # one file, also while it is read
        except sqlite3.Error as error:
            raise StoreError(f"cannot copy the run's store {self.path}: {_with_fix(error)}") from error
        finally:
            self._db.rollback()

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        self._write_waiting()
        self._refuse_after_failure()
        try:
            yield self._db
        except sqlite3.IntegrityError:
            raise  # only this statement is undone
        except sqlite3.Error as error:
            self._fail(error)
            raise self._error(error) from error
        self._commit_soon()

    def _rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """Rows of a query, with SQLite's errors as one line."""
        self._write_waiting()
        try:
            yield from self._db.execute(query, values)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the run's store {self.path}: {_with_fix(error)}") from error

    def _first(self, query: str, values: Sequence[Any] = ()) -> Any:
        """First row of a query, or None."""
        return next(self._rows(query, values), None)


def _check_locks(folder: Path) -> None:
    """Refuse a file system without locks, where SQLite waits in vain and then calls the file locked."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            fcntl.lockf(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise StoreError(
                f"the file system of {folder} has no file locks; put the run on a local disk"
            ) from error
        # What else is wrong with the folder is told by opening the file.


def _open_to_read(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise StoreError(_no_file(path))
    if path.stat().st_size == 0:
        raise StoreError("it is empty: no run was stored in it; repeat the run's command")
    _check_locks(path.parent)
    address = f"{path.resolve().as_uri()}?mode=ro"
    try:
        db = _connected(address)
    except sqlite3.OperationalError:
        if _has_wal(path):
            raise
        db = _connected(f"{address}&immutable=1")  # a finished run in a folder that cannot be written
    if not schema.version_of(db):
        raise StoreError("it holds no tables: no run was stored in it; repeat the run's command")
    return db


def _connected(address: str) -> sqlite3.Connection:
    db = sqlite3.connect(address, uri=True, timeout=WAIT_S)
    schema.table_names(db)  # SQLite opens the file at the first read
    return db


def _has_wal(path: Path) -> bool:
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


def _open_to_write(path: Path) -> sqlite3.Connection:
    if path.exists() and not path.is_file():
        raise StoreError(_no_file(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_locks(path.parent)
    db = sqlite3.connect(path, timeout=WAIT_S)
    version = schema.version_of(db)  # before anything is changed: the file may be another program's
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("PRAGMA wal_autocheckpoint=8000")  # 32 MB: folding in costs more than commits
    if version < schema.VERSION:
        schema.create_or_upgrade(db)
    return db


def _gone(path: Path) -> OSError | None:
    """Why an open file can no longer be found; SQLite would go on to write to it, and all would be lost."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        return error
    except OSError:
        pass  # a file system that does not answer now; the next commit asks again
    return None


def _no_file(path: Path) -> str:
    if path.is_dir():
        return "it is a folder; move it away, or give the folder that holds the run's file"
    if path.exists():
        return "it is no regular file; move it away"
    return "there is no such file; give the folder of a run"


def _with_fix(error: Exception) -> str:
    name = getattr(error, "sqlite_errorname", "")
    fix = next((fix for start, fix in FIXES.items() if name.startswith(start)), "")
    if isinstance(error, PermissionError):
        fix = FIXES["SQLITE_PERM"]
    elif isinstance(error, OSError):
        fix = "give a place where a folder can be made"
    return f"{error}; {fix}" if fix else str(error)
