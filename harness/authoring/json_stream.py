"""Reads the values of a large JSON file one by one, of JSON lines or of one array, within bounds."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

CHUNK = 1 << 20
"""Bytes that are read at a time."""

_OUTSIDE = re.compile(rb'["\[\]{},]')
_STRING = re.compile(rb'(?s:[^"\\]++|\\.)*+')
"""A string up to its end, or up to a backslash whose escaped byte is not there yet."""

_OPENING, _CLOSING = b"[{", b"]}"


@dataclass(frozen=True, slots=True)
class JsonText:
    """The bytes of one value.

    Attributes:
        line: on which it begins, from 1.
        text: as the file has it; not checked to be JSON.
        cut: it was longer than allowed, and the text ends in the middle.
    """

    line: int
    text: bytes
    cut: bool


class Truncated(ValueError):
    """An array is not closed, or something follows it; the message says so."""


def values(file: IO[bytes], longest: int) -> Iterator[JsonText]:
    """Yield the values of a file: an array's elements when it begins with `[`, its lines otherwise.

    At most `longest` bytes of a value are kept in memory, whatever the file holds.

    Raises:
        Truncated: an array is not closed, or something follows it.
    """
    start, skipped = b"", 0
    while not start and (chunk := file.read(CHUNK).removeprefix(BOM_UTF8)):
        start = chunk.lstrip()
        skipped += chunk.count(b"\n") - start.count(b"\n")
    if start.startswith(b"["):
        yield from _Array(longest, line=skipped + 1).read(start[1:], file)
    else:
        yield from _lines(start, file, longest, skipped)


def _lines(start: bytes, file: IO[bytes], longest: int, number: int) -> Iterator[JsonText]:
    kept, length = bytearray(), 0
    chunk = start
    while chunk:
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            number += 1
            kept += part[: max(0, longest - length)]
            length += len(part)
            if kept.strip():
                yield JsonText(number, bytes(kept), length > longest)
            kept, length = bytearray(), 0
        kept += rest[: max(0, longest - length)]
        length += len(rest)
        chunk = file.read(CHUNK)
    if kept.strip():
        yield JsonText(number + 1, bytes(kept), length > longest)


@dataclass(slots=True)
class _Array:
    """Finds where the elements of an array end.

    Attributes:
        line: of the next byte.
        depth: of open brackets within the array.
        quoted: the next byte is within a string.
        escaped: the next byte follows a backslash.
        kept, begun, cut: what is kept of the element, the line it began on, whether bytes were left out.
        closed: the array has ended.
    """

    longest: int
    line: int
    depth: int = 0
    quoted: bool = False
    escaped: bool = False
    kept: bytearray = field(default_factory=bytearray)
    begun: int = 0
    cut: bool = False
    closed: bool = False

    def read(self, chunk: bytes, file: IO[bytes]) -> Iterator[JsonText]:
        yield from self._chunk(chunk)
        while chunk := file.read(CHUNK):
            yield from self._chunk(chunk)
        if not self.closed:
            raise Truncated("the array is not closed: the file ends in the middle")

    def _chunk(self, chunk: bytes) -> Iterator[JsonText]:
        begin = place = 0
        while not self.closed and (end := self._next(chunk, place)) is not None:
            place = end + 1
            mark = chunk[end : end + 1]
            if self.quoted or mark == b'"':
                place = self._in_string(chunk, end)
            elif mark in _OPENING:
                self.depth += 1
            elif self.depth and mark in _CLOSING:
                self.depth -= 1
            elif not self.depth and mark != b"}":
                self._keep(chunk[begin:end])
                yield from self._ended()
                begin, self.closed = place, mark == b"]"
        if self.closed:
            rest = chunk[begin:].lstrip()
            self.line += chunk.count(b"\n", begin, len(chunk) - len(rest))
            if rest:
                raise Truncated(f"line {self.line}: something follows the array")
        else:
            self._keep(chunk[begin:])

    def _next(self, chunk: bytes, place: int) -> int | None:
        """The position of the next byte that changes the state."""
        if self.escaped and place < len(chunk):
            self.escaped = False
            place += 1
        found = (_STRING.match if self.quoted else _OUTSIDE.search)(chunk, place)
        place = len(chunk) if found is None else found.end() if self.quoted else found.start()
        return place if place < len(chunk) else None

    def _in_string(self, chunk: bytes, end: int) -> int:
        """Take in a quotation mark, or the backslash of a string; gives where to go on."""
        if chunk[end : end + 1] == b'"':
            self.quoted = not self.quoted
        else:
            self.escaped = True
        return end + 1

    def _keep(self, part: bytes) -> None:
        if not self.kept:
            bare = part.lstrip()
            self.begun = self.line + part.count(b"\n", 0, len(part) - len(bare))
            self.line, part = self.begun, bare
        room = self.longest - len(self.kept)
        self.kept += part[:room]
        self.cut |= len(part) > room
        self.line += part.count(b"\n")

    def _ended(self) -> Iterator[JsonText]:
        if self.kept.strip():
            yield JsonText(self.begun, bytes(self.kept), self.cut)
        self.kept, self.cut = bytearray(), False
