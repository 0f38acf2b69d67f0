"""Runs in a worker process with little memory: turns the ranker's pickle into a table, calling nothing in it.

A pickle is a program. The reader here knows dicts, lists, texts and numbers, and of numpy only what its
numbers and arrays are made of; anything else that a file names ends the reading before it is loaded.
"""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, cast

TABLE = "CREATE TABLE ranks(step TEXT PRIMARY KEY, ranks TEXT NOT NULL) WITHOUT ROWID"


Allowed = Mapping[tuple[str, str], Callable[..., Any]]
"""What a pickle may name, by module and name."""


class ScoreFileError(Exception):
    """The file is no score file; the message says why."""


class ScoreFileReader:
    """Converts files; the process ends with its parent."""

    def convert(self, source: str, target: str, memory_mb: int) -> int:
        """Read a pickle of `{"ranks": {step: {node: rank}}}` and write its ranks to a new SQLite file.

        Args:
            source: the pickle.
            target: the SQLite file.
            memory_mb: what reading may add to this process's memory.

        Returns:
            The number of steps.

        Raises:
            ScoreFileError: it is no such file, names something that is not allowed, or needs more memory.
        """
        allowed = _allowed()  # before the cap: numpy itself reserves much
        _cap_memory(memory_mb)
        try:
            return convert(Path(source), Path(target), allowed)
        except MemoryError:
            raise ScoreFileError(f"it needs more than {memory_mb} MB to read") from None


def convert(source: Path, target: Path, allowed: Allowed | None = None) -> int:
    """The same in this process, with as much memory as there is.

    Args:
        source: the pickle.
        target: the SQLite file.
        allowed: what the pickle may name; None for what numbers and arrays of numpy are made of.

    Raises:
        ScoreFileError: as above.
    """
    try:
        with source.open("rb") as file:
            ranks = _ranks(_RankUnpickler(file, _allowed() if allowed is None else allowed).load())
        _write(ranks, target)
    except (MemoryError, ScoreFileError):
        raise
    except Exception as error:
        raise ScoreFileError(f"it is no readable pickle: {type(error).__name__}: {error}") from None
    return len(ranks)


class _RankUnpickler(pickle.Unpickler):
    """Finds only what it was given."""

    def __init__(self, file: BinaryIO, allowed: Allowed) -> None:
        super().__init__(file)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise ScoreFileError(f"it asks for {module}.{name}, which no score file needs") from None

    def persistent_load(self, pid: Any) -> Any:
        raise ScoreFileError("it refers to an object outside itself")


def _allowed() -> Allowed:
    """What numbers and arrays of numpy are made of, under the names of numpy 1 and 2."""
    import numpy
    from numpy._core import multiarray

    made: dict[tuple[str, str], Any] = {("numpy", "dtype"): numpy.dtype, ("numpy", "ndarray"): numpy.ndarray}
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        made[module, "scalar"] = multiarray.scalar
        made[module, "_reconstruct"] = cast(Any, multiarray)._reconstruct
    # Before protocol 3 a pickle writes bytes, such as a number's, as a text to be encoded.
    made["_codecs", "encode"] = _latin1
    return made


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ScoreFileError(f"it encodes a text in {encoding!r}, which no score file needs")
    return text.encode("latin1")


def _cap_memory(more_mb: int) -> None:
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    cap = pages * resource.getpagesize() + more_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (cap, cap))


def _ranks(content: Any) -> Mapping[Any, Any]:
    ranks = cast("dict[Any, Any]", content).get("ranks") if isinstance(content, dict) else None
    if not isinstance(ranks, dict):
        raise ScoreFileError("it holds no dict under 'ranks'")
    return cast("dict[Any, Any]", ranks)


def _write(ranks: Mapping[Any, Any], target: Path) -> None:
    with closing(sqlite3.connect(target)) as db, db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute(TABLE)
        db.executemany("INSERT INTO ranks VALUES(?, ?)", ((_text(s), _row(s, r)) for s, r in ranks.items()))


def _row(step: Any, ranks: Any) -> str:
    if not isinstance(ranks, dict):
        raise ScoreFileError(f"the ranks of {step!r:.80} are no dict")
    nodes = cast("dict[Any, Any]", ranks)
    return json.dumps({_text(node): _whole(rank) for node, rank in nodes.items()}, separators=(",", ":"))


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise ScoreFileError(f"{name!r:.80} stands where a name should")
    return str(name)


def _whole(rank: Any) -> int:
    try:
        if int(rank) == rank:
            return int(rank)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ScoreFileError(f"{rank!r:.80} stands where a rank should")


def handler() -> ScoreFileReader:
    """What the worker's calls go to."""
    return ScoreFileReader()
