"""A small asyncio client of py4j's wire protocol.

The package's own client blocks without a deadline, fetches a list one element per round trip and releases
objects from finalisers on any thread. What the simulator needs is a dozen lines of text protocol, on which
deadlines and cancellation are asyncio's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

LINE_LIMIT = 1 << 26
"""Bytes of the longest answer; the longest list of valid actions is below one megabyte."""


class JavaError(Exception):
    """Java threw; the message is the exception's text."""


@dataclass(frozen=True, slots=True)
class Ref:
    """An object that lives in the JVM."""

    id: str


@dataclass(frozen=True, slots=True)
class Static:
    """The static side of a Java class, for calls."""

    name: str

    @property
    def id(self) -> str:
        return f"z:{self.name}"


Value = Ref | str | int | float | bool | None
ENTRY = Ref("t")


class Gateway:
    """One connection to a py4j `GatewayServer`; one command at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, port: int, token: str) -> Gateway:
        """Open a connection to a gateway on loopback and authenticate."""
        gateway = cls(*await asyncio.open_connection("127.0.0.1", port, limit=LINE_LIMIT))
        await gateway._command(f"A\n{_escaped(token)}\n")
        return gateway

    async def call(self, target: Ref | Static, method: str, *arguments: Value) -> Value:
        """Call a method; an object comes back as `Ref`, to be released with `release`."""
        return await self._command(f"c\n{target.id}\n{method}\n{_parts(arguments)}e\n")

    async def ref(self, target: Ref | Static, method: str, *arguments: Value) -> Ref:
        """Call a method that returns an object."""
        return _a(Ref, await self.call(target, method, *arguments))

    async def text(self, target: Ref | Static, method: str, *arguments: Value) -> str:
        """Call a method that returns a string."""
        return _a(str, await self.call(target, method, *arguments))

    async def lines(self, target: Ref | Static, method: str) -> list[str]:
        """Call a method that returns a list of one-line strings, and fetch it whole."""
        listed = await self.ref(target, method)
        joined = await self.text(Static("java.lang.String"), "join", "\n", listed)
        await self.release(listed)
        return joined.split("\n") if joined else []

    async def new(self, name: str, *arguments: Value) -> Ref:
        """Construct an object."""
        return _a(Ref, await self._command(f"i\n{name}\n{_parts(arguments)}e\n"))

    async def array(self, name: str, *values: Value) -> Ref:
        """Make an array of a class from values."""
        array = _a(Ref, await self._command(f"a\nc\ns{name}\ni{len(values)}\ne\n"))
        for index, value in enumerate(values):
            await self._command(f"a\ns\n{array.id}\n{_part(index)}{_part(value)}e\n")
        return array

    async def release(self, ref: Ref) -> None:
        """Let the JVM forget an object."""
        await self._command(f"m\nd\n{ref.id}\ne\n")

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def _command(self, command: str) -> Value:
        # What UTF-8 cannot carry (lone surrogates from a model) becomes a question mark.
        self._writer.write(command.encode("utf-8", "replace"))
        await self._writer.drain()
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("the JVM closed the connection")
        answer = line.decode("utf-8", "replace")[:-1].removeprefix("!")
        if answer.startswith("y"):
            return _value(answer[1:])
        failure = _value(answer.removeprefix("x").removeprefix("z"))
        if isinstance(failure, Ref):
            failure = await self.call(failure, "toString")
        raise JavaError(str(failure))


def _a(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise JavaError(f"Java answered {type(value).__name__} where {kind.__name__} was due")
    return value


def _parts(values: tuple[Value, ...]) -> str:
    return "".join(_part(value) for value in values)


def _part(value: Value) -> str:
    if value is None:
        return "n\n"
    if isinstance(value, Ref):
        return f"r{value.id}\n"
    if isinstance(value, bool):
        return f"b{value}\n"
    if isinstance(value, int):
        return f"i{value}\n"
    if isinstance(value, float):
        return f"d{value}\n"
    return f"s{_escaped(value)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")


_ESCAPES = {"n": "\n", "r": "\r"}


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    pieces = iter(text)
    return "".join(_ESCAPES.get(char := next(pieces, ""), char) if c == "\\" else c for c in pieces)


def _value(text: str) -> Value:
    kind, rest = text[:1], text[1:]
    if kind in ("", "v", "n"):
        return None
    if kind == "s":
        return _unescaped(rest)
    if kind in ("i", "L"):
        return int(rest)
    if kind == "d":
        return float(rest)
    if kind == "b":
        return rest == "true"
    return Ref(rest)
