"""Reads files of one JSON object a line, within bounds, with one form of error."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from harness.errors import DataError

LONGEST = 32 << 20
"""Most bytes of a line."""

LARGEST = 8 << 30
"""Most bytes of a file, after decompression."""

FIX = "`harness doctor` says how to get it"


def jsonl(
    path: Path, *, fields: Mapping[str, type] | None = None, fix: str = FIX, longest: int = LONGEST
) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file, line by line; empty lines are passed over.

    Args:
        path: of the file; one that ends in `.gz` is decompressed.
        fields: what every object must have, by name; others are not looked at.
        fix: what the user can do about a file that is missing or damaged, for the message.
        longest: most bytes of a line.

    Raises:
        DataError: `FILE:LINE: what is wrong; what to do`, without a line when the file cannot be read.
    """
    number = total = 0
    try:
        with _opened(path) as file:
            # Bytes end at line feeds only; U+2028, which JSON allows unescaped, ends no line.
            while line := file.readline(longest + 1):
                number, total = number + 1, total + len(line)
                if len(line) > longest or total > LARGEST:
                    raise _Wrong(f"more than {longest if len(line) > longest else LARGEST} bytes")
                if line.strip():
                    yield _object(line, fields or {})
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {fix}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}; {fix}") from error
    except _Wrong as wrong:
        raise DataError(f"{path}:{number}: {wrong}; {fix}") from wrong


class _Wrong(Exception):
    """What is wrong with a line."""


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _object(line: bytes, fields: Mapping[str, type]) -> dict[str, Any]:
    try:
        found = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _Wrong(f"no JSON ({error})") from error
    if not isinstance(found, dict):
        raise _Wrong("no JSON object")
    row = cast("dict[str, Any]", found)
    for name, kind in fields.items():
        if not isinstance(row.get(name), kind):
            raise _Wrong(f"{name!r} is {'missing' if name not in row else f'no {kind.__name__}'}")
    return row


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write one object a line in ASCII, keys in their order; the folder is made. Returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path
