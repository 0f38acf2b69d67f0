"""Makes a task's derived files with its prepare.py; only files with the pinned hashes reach the cache."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from harness.catalog import registry
from harness.data.pins import CORE, Pins, pins
from harness.data.resolve import cache_folder, corrupt, data_folder, writable
from harness.data.verified import Verified
from harness.errors import DataError, UsageError

log = logging.getLogger("harness.data")

Tell = Callable[[int, int | None, str], None]
"""Progress of a long work: `tell(done, total, what)`.

`done` of `total` parts are finished (total None: the number is not known), and `what` names the part that was
finished last, in a few words. A progress bar shows all three, a log prints the line.
"""
Prepare = Callable[[Path, Path, Tell], Sequence[Path]]
"""A task's `prepare(source, target, tell)`: writes files below `target` and returns them.

`target` is laid out as the task's folder of a mirror (a core file with a folder of its own lies in that).
It is empty, or (`--resume`) holds what an earlier call with the same source had written when it failed or was
interrupted. A function may take such a file over when it can tell that it is whole, and may ignore them all.
"""
PrepareTogether = Callable[[Sequence[Path], Path, Tell], Sequence[Path]]
"""A task's `prepare_together(sources, target, tell)`, in place of `prepare` where a file needs several."""


@dataclass(frozen=True, slots=True)
class Preparer:
    """A task's function that makes its files.

    Attributes:
        make: called with the sources.
        together: it is called with all sources at once, otherwise with one.
    """

    make: PrepareTogether
    together: bool


def quiet(done: int, total: int | None, what: str) -> None:
    """Ignore progress."""
    del done, total, what


def prepare(
    task: str, source: Path | Sequence[Path], tell: Tell = quiet, *, resume: bool = False
) -> list[Path]:
    """Make a task's derived files from what the user has; nothing reaches the cache unless all is right.

    What was made before a failure or an interruption is kept for `resume`, but for files that are not the
    pinned ones.

    Args:
        task: its name, or `core`.
        source: what the user has; several where the task makes a file from several.
        tell: hears how far it is.
        resume: use what an earlier call left.

    Raises:
        UsageError: the task has nothing to prepare, or another process prepares it from the same source.
        DataError: a result is not what is pinned; both hashes are named.
    """
    wanted, sources = pins(task), [source] if isinstance(source, Path) else list(source)
    make, named = preparer(task).make, ", ".join(map(str, sources))
    folder = data_folder(wanted)
    writable(folder.parent)
    with _stage(task, sources, resume=resume) as stage:
        made = [path.relative_to(stage) for path in make(sources, stage, tell)]
        if wrong := _wrong(wanted, stage, made):
            raise DataError("\n".join([*wrong, f"nothing was installed{_version(wanted, made, named)}"]))
        own = {Path(pin.name): wanted.place(folder, pin) for pin in wanted.files}
        targets = [own.get(path, folder / path) for path in made]
        for path, target in zip(made, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            (stage / path).replace(target)
    return targets


def preparer(task: str) -> Preparer:
    """Find a task's function.

    Raises:
        UsageError: it has none.
    """
    module = "harness.data.core" if task == CORE else f"{registry.package(task)}.prepare"
    try:
        there = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the task is one module, not a package
        there = False
    if not there:
        raise UsageError(f"{task} has nothing to prepare; its files are fetched: harness data pull {task}")
    found = importlib.import_module(module)
    if hasattr(found, "prepare_together"):
        return Preparer(cast(PrepareTogether, found.prepare_together), together=True)
    make = cast(Prepare, found.prepare)
    return Preparer(lambda sources, target, tell: make(sources[0], target, tell), together=False)


def _version(wanted: Pins, made: Sequence[Path], named: str) -> str:
    """Which version was needed, where the pins say so."""
    origins = {entry for pin in wanted.files if Path(pin.name) in made for entry in pin.origins}
    needed = sorted({f"{e.name} at commit {e.commit}" for e in origins if e.repository})
    return f"; {named} is not {' with '.join(needed)}" if needed else f"; is {named} the pinned version?"


@contextmanager
def _stage(task: str, sources: Sequence[Path], *, resume: bool) -> Generator[Path]:
    """A locked folder for this task and source; removed at the end unless something went wrong."""
    from filelock import FileLock, Timeout

    named = "\n".join(str(source.resolve() if source.exists() else source) for source in sources)
    stage = cache_folder() / "stage" / f"{task}-{hashlib.sha256(named.encode()).hexdigest()[:12]}"
    writable(stage.parent)
    try:
        with FileLock(stage.with_suffix(".lock"), timeout=0):
            if not resume:
                shutil.rmtree(stage, ignore_errors=True)
            stage.mkdir(exist_ok=True)
            try:
                yield stage
            except BaseException:
                _keep(stage)
                raise
            shutil.rmtree(stage)
    except Timeout as error:
        where = ", ".join(map(str, sources))
        raise UsageError(f"another process prepares {task} from {where}: wait until it is done") from error


def _keep(stage: Path) -> None:
    """Keep what was made, for `--resume`; remove a folder without files."""
    count = sum(path.is_file() for path in stage.rglob("*"))
    if not count:
        shutil.rmtree(stage, ignore_errors=True)
        return
    log.warning("%d files that were made are kept in %s: repeat the command with --resume", count, stage)


def _wrong(wanted: Pins, stage: Path, made: Sequence[Path]) -> list[str]:
    """Lines for files without their pinned hash; those are deleted, so that `--resume` does not use them."""
    lines: list[str] = []
    seen = Verified(stage / "verified.json")
    by_path = {Path(pin.name): pin for pin in wanted.files}
    for path in made:
        pin = by_path.get(path)
        if pin is not None and (problem := corrupt(pin, stage / path, seen, wanted.task)):
            lines.append(problem.what.replace(f"{stage}/", ""))
            (stage / path).unlink(missing_ok=True)
    return lines
