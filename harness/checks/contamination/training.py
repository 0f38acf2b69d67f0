"""Reads training files row by row: JSON lines, JSON arrays and Parquet, plain, gzip or zstandard."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from harness.authoring.json_stream import JsonText, Truncated, values
from harness.errors import DataError, MissingPart

LONGEST = 16 << 20
"""Most bytes of a row that are searched."""

PACKED = 1 << 10
"""Compressed bytes taken at a time; what they can unpack to, 43 MB, is what has to be in memory."""

TURNS = ("conversations", "conversation", "messages", "turns")
"""Fields that hold the turns of ShareGPT, AgentInstruct, Agent-FLAN and chat files."""

SAID = ("value", "content", "text")
"""Fields of a turn that hold its text."""

TEXTS = (
    *("text", "prompt", "completion", "response", "instruction", "input", "output"),
    *("question", "answer", "system", "chat"),
)
"""Fields that hold a text themselves."""

ENDINGS = frozenset({".json", ".jsonl", ".ndjson", ".parquet", ".gz", ".zst"})
"""Which files of a folder are read."""

_OTHERS = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\x00": "compressed with xz",
}
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row of a file.

    Attributes:
        place: `FILE:LINE`, or `FILE: row N` of Parquet, from 1.
        texts: its turns or texts.
        cut: it was longer than LONGEST, and only its beginning is there.
    """

    place: str
    texts: tuple[str, ...]
    cut: bool = False


def files(paths: Sequence[Path]) -> list[Path]:
    """The named files, and those below named folders.

    Raises:
        DataError: there is none.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = sorted(one for one in path.rglob("*") if one.suffix in ENDINGS and one.is_file())
            if not below:
                raise DataError(
                    f"{path} holds no training file ({', '.join(sorted(ENDINGS))}): name the files"
                )
            found += below
        elif path.is_file():
            found.append(path)
        else:
            raise DataError(f"{path} is missing: give a training file or a folder of them")
    return list(dict.fromkeys(found))


def rows(path: Path) -> Iterator[TrainingRow]:
    """The rows of a file.

    Raises:
        DataError: it is empty, no JSON, compressed in another way, or a row has neither turns nor a text;
            the message names the line.
        MissingPart: the package that reads Parquet is not installed.
    """
    some = False
    for row in _parquet(path) if _head(path) == b"PAR1" else _json(path):
        some = True
        yield row
    if not some:
        raise DataError(f"{path} is empty: give a file with training rows")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _json(path: Path) -> Iterator[TrainingRow]:
    try:
        with _opened(path) as file:
            for one in values(file, LONGEST):
                yield _row(one, f"{path}:{one.line}")
    except Truncated as error:
        raise DataError(f"{path}: {error}; give the whole file") from error
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}; give the whole file") from error


@contextmanager
def _opened(path: Path) -> Generator[IO[bytes]]:
    """A file's bytes, decompressed as they are read."""
    with path.open("rb") as file:
        head = file.read(6)
        file.seek(0)
        for magic, what in _OTHERS.items():
            if head.startswith(magic):
                raise DataError(f"{path} is {what}: unpack it, gzip and zstandard are read as they are")
        if head.startswith(b"\x1f\x8b"):
            import gzip

            with gzip.open(file) as unpacked:
                yield cast("IO[bytes]", unpacked)
        elif head.startswith(b"\x28\xb5\x2f\xfd"):
            yield cast("IO[bytes]", _Zstandard(file))
        else:
            yield file


class _Zstandard:
    """Decompresses frame after frame; the package's own reader takes a file that was cut off for whole.

    Args:
        file: of compressed frames.
    """

    def __init__(self, file: IO[bytes]) -> None:
        import zstandard

        self._file = file
        self._begin, self._error = zstandard.ZstdDecompressor().decompressobj, zstandard.ZstdError
        self._frame: Any = None
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Some bytes, about as many as asked for; none at the end."""
        found = bytearray()
        while len(found) < size and (chunk := self._rest or self._file.read(PACKED)):
            self._frame, self._rest = self._frame or self._begin(), b""
            try:
                found += self._frame.decompress(chunk)
            except self._error as error:
                raise EOFError(str(error)) from error
            if self._frame.eof:
                self._rest, self._frame = self._frame.unused_data, None
        if not found and self._frame is not None:
            raise EOFError("it ends in the middle of a frame")
        return bytes(found)


def _row(one: JsonText, place: str) -> TrainingRow:
    if one.cut:
        return TrainingRow(place, (_loose(one.text),), cut=True)
    try:
        found = json.loads(one.text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: no JSON ({error}); correct the line or leave it out") from error
    return TrainingRow(place, texts(found, place))


def _loose(text: bytes) -> str:
    """The text of JSON that was cut off: escapes are decoded, brackets and quotation marks stay."""

    def undone(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else found[2] if found[2] in '"\\/' else " "

    return _ESCAPE.sub(undone, text.decode("utf-8", "replace"))


def _parquet(path: Path) -> Iterator[TrainingRow]:
    try:
        import pyarrow.parquet as parquet  # pyright: ignore
    except ImportError as error:
        raise MissingPart(f"{path} is Parquet: pip install 'agenttuning-harness[hf]' reads it") from error
    pyarrow: Any = parquet
    number = 0
    try:
        with pyarrow.ParquetFile(path, memory_map=False) as file:
            known = [name for name in (*TURNS, *TEXTS) if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=64, columns=known or None):
                for found in cast("list[Any]", batch.to_pylist()):
                    number += 1
                    yield _bounded(f"{path}: row {number}", found)
    except (OSError, ValueError) as error:  # pyarrow's own errors are among these
        raise DataError(f"{path} cannot be read after row {number}: {error}; give the whole file") from error


def _bounded(place: str, found: Any) -> TrainingRow:
    whole = texts(found, place)
    kept = tuple(text[:LONGEST] for text in whole)
    return TrainingRow(place, kept, cut=kept != whole)


def texts(found: Any, place: str) -> tuple[str, ...]:
    """The turns of a row, or its texts.

    Raises:
        DataError: it has neither.
    """
    if isinstance(found, str):
        return (found,)
    if isinstance(found, list):
        return tuple(_turns(cast("Sequence[Any]", found), place))
    kind = type(found).__name__
    row: Mapping[str, Any] = cast("Any", found) if isinstance(found, dict) else {}
    told = [row[name] for name in TEXTS if isinstance(row.get(name), str)]
    for name in TURNS:
        if isinstance(row.get(name), list):
            return (*told, *_turns(row[name], place))
    if not told:
        fields = ", ".join([*row][:8]) or kind
        raise DataError(
            f"{place}: neither turns ({', '.join(TURNS)}) nor a text ({', '.join(TEXTS)}), "
            f"only {fields[:200]}; rename the field that holds it"
        )
    return tuple(told)


def _turns(turns: Sequence[Any], place: str) -> Iterator[str]:
    for turn in turns:
        said = turn if isinstance(turn, str) else _said(turn)
        if said is None:
            raise DataError(
                f"{place}: a turn without {', '.join(SAID)}; rename the field that holds its text"
            )
        yield said


def _said(turn: Any) -> str | None:
    """The text of a turn; empty where it has a field for it, but no text in it (a call of a tool)."""
    if not isinstance(turn, dict):
        return None
    one = cast("Mapping[str, Any]", turn)
    found = [one[name] for name in SAID if name in one]
    if not found:
        return None
    parts: Any = found[0]
    if isinstance(parts, list):  # a message of several parts
        return "\n".join(filter(None, (_said(part) for part in cast("list[Any]", parts))))
    return parts if isinstance(parts, str) else ""
