"""Reads JSON of unknown shape without trusting it: what is missing or malformed is None."""

from __future__ import annotations

import math
import re
from typing import Any, TypeVar, cast

import msgspec

from harness.models import outside

MOST = 1 << 31
"""Counts of tokens or requests as large as this are malformed."""

REPAIRABLE, KEPT = 2 << 20, 4 << 20
_DEPTH, _ITEMS, _CHARACTERS, _DIGITS = 8, 1000, 2000, 40
_ESCAPE = re.compile(
    rb"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_LITERAL = re.compile(rb'"(?:[^"\\]|\\.)*+"|(-?\bInfinity\b|\bNaN\b)', re.DOTALL)
ABSENT = msgspec.Raw(b"")
"""A field that was not sent."""

S = TypeVar("S")
Body = bytes | bytearray | msgspec.Raw


class Token(msgspec.Struct, frozen=True):
    """A token as servers list it; what is missing is None."""

    id: int | None = None
    text: str = ""
    logprob: float | None = None


def decode(body: Body) -> Any:
    """Decode all of a JSON text; for short bodies only, as its values take many times the bytes.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    return read(body, cast("type[Any]", Any))


def read(body: Body, shape: type[S]) -> S:
    """Decode JSON into a type of msgspec's; what the type does not name is skipped, not built.

    Raises:
        ValueError: it is not JSON, of another shape, or nested too deeply.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError:
        if len(body) > REPAIRABLE or (repaired_body := repaired(bytes(body))) == bytes(body):
            raise
    try:
        return msgspec.json.decode(repaired_body, type=shape)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def repaired(body: bytes) -> bytes:
    """Replace what JSON does not allow but some servers send: lone surrogates, infinities, a BOM."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    body = _ESCAPE.sub(lambda found: rb"\ufffd" if found[2] else found[0], body)
    return _LITERAL.sub(lambda found: b"null" if found[1] else found[0], body)


def field(raw: msgspec.Raw) -> Any:
    """Decode one field that was left as sent; None when it is not there, too long or not readable."""
    if not len(raw) or len(raw) > _CHARACTERS:
        return None
    try:
        return decode(raw)
    except ValueError:
        return None


def part(raw: msgspec.Raw, shape: type[S]) -> S:
    """Read an object that was left as sent; an empty one when it is none."""
    try:
        return read(raw, shape) if len(raw) else shape()
    except ValueError:
        return shape()


def string(raw: msgspec.Raw) -> str | None:
    """Read a text of any length that was left as sent; None when it is none."""
    try:
        return read(raw, str) if len(raw) else None
    except ValueError:
        return None


def tokens(raw: Body) -> list[Token]:
    """Read a list of tokens; an empty one when it is none, or beyond what a context holds."""
    try:
        return read(raw, list[Token]) if 0 < len(raw) <= KEPT else []
    except ValueError:
        return []


def record(value: Any) -> dict[str, Any]:
    """Take an object as it is and anything else as an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def rows(value: Any) -> list[Any]:
    """Take a list as it is and anything else as an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def real(value: Any) -> float | None:
    """Read a finite number, also one sent as text; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > _DIGITS:
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def count(value: Any, most: int = MOST) -> int | None:
    """Read a count, also one sent as text; None when it is none or implausibly large."""
    found = real(value)
    return int(found) if found is not None and 0 <= found < most else None


def short(value: Any, limit: int = 200) -> str:
    """Read a short text, cleaned; empty when it is none."""
    return outside.text(value)[:limit] if isinstance(value, str) else ""


def kept(value: Any, depth: int = _DEPTH) -> Any:
    """Copy what a server says about itself so that it can be stored: plain values within bounds, cleaned."""
    if isinstance(value, str):
        return short(value, _CHARACTERS)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if real(value) is not None and abs(value) < 1 << 63 else None
    if depth == 0:
        return None
    if isinstance(value, dict):
        pairs = list(cast("dict[Any, Any]", value).items())[:_ITEMS]
        return {short(str(key)): kept(item, depth - 1) for key, item in pairs}
    return [kept(item, depth - 1) for item in rows(value)[:_ITEMS]]
