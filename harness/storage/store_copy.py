"""Copies the store of a run to one file, also while the run goes on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from harness.errors import StoreError, UsageError
from harness.storage.store import Store


def copy(source: Path, out: Path) -> tuple[int, int]:
    """Copy what is committed at this moment; gives how many items have ended, and how many are planned.

    Raises:
        UsageError: `out` exists, or has no folder to stand in.
        StoreError: the store cannot be read, or the copy not written; nothing is left behind then.
    """
    with closing(Store(source, readonly=True)) as store, new_file(out) as part:
        store.copy_to(part)
        with closing(Store(part, readonly=True)) as copied:
            return copied.counts()


@contextmanager
def new_file(out: Path) -> Generator[Path]:
    """Give a file beside `out` to write, which takes its place once it is whole."""
    if os.path.lexists(out):
        raise UsageError(f"{out} exists: give another OUT, or move it away")
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is no folder: make it, or give another OUT")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
            part = Path(folder) / out.name
            yield part
            _place(part, out)
    except FileExistsError as error:
        raise UsageError(f"{out} exists by now: give another OUT, or move it away") from error
    except OSError as error:
        raise StoreError(
            f"cannot write {out}: {error}; make room there, or give an OUT in a folder that can be written"
        ) from error


def _place(part: Path, out: Path) -> None:
    try:
        os.link(part, out)  # which, unlike a rename, replaces nothing
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        part.rename(out)
