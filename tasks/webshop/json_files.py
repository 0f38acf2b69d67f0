"""Reads JSON files of any size, with errors that name the place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from harness.errors import DataError


class LineCounter:
    """A file that knows how many lines were read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.lines = file, 1

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.lines += piece.count(b"\n")
        return piece


def items(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON list of any length, one at a time.

    Raises:
        DataError: it is missing or no JSON list of objects, with the line and the object.
    """
    import ijson

    number = 0
    try:
        with path.open("rb") as file:
            counted = LineCounter(file)
            try:
                for item in ijson.items(counted, "item", use_float=True, buf_size=1 << 16):
                    if not isinstance(item, dict):
                        raise ValueError(f"a {type(item).__name__} where an object is expected")
                    number += 1
                    yield cast("dict[str, Any]", item)
            except (ValueError, ijson.JSONError) as error:
                where = f"{path}, in line {counted.lines} or up to 64 KB before it, after object {number}"
                raise DataError(f"{where}: {error}; get the file again") from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}; `harness doctor` says how to get it"
        ) from error


def table(path: Path) -> Mapping[str, Any]:
    """One JSON object by asin: `items_ins_v2*.json`, or `items_human_ins*.json`.

    Raises:
        DataError: it is missing or no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}; `harness doctor` says how to get it") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} is no JSON object by asin; get the file again")
    return cast("Mapping[str, Any]", found)
