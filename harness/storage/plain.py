"""Makes values storable that SQLite or JSON would refuse: clamps numbers and escapes texts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

LEAST, MOST = -(2**63), 2**63 - 1
"""What 64 bits hold."""
DEPTH = 64
"""Levels of lists and dicts that are kept of a value that is nested too deep, or within itself."""


def text(value: str) -> str:
    """A str for a TEXT column: lone surrogates, which SQLite refuses, are escaped."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")


def integer(value: int) -> int:
    """An int for an INTEGER column: clamped to 64 bits."""
    return value if LEAST <= value <= MOST else min(max(value, LEAST), MOST)


def real(value: float) -> float:
    """A float for a REAL column that must have a number: NaN becomes 0."""
    return 0.0 if math.isnan(value) else value


def is_number(value: Any) -> bool:
    """Whether a value is finite and fits a float."""
    try:
        return math.isfinite(value)
    except (OverflowError, TypeError):
        return False


def encode(value: Any) -> bytes:
    """A JSON-like value as JSON in UTF-8, for any value at all.

    NaN and infinities become null, what JSON does not know its repr. Lone surrogates stay: the bytes are then
    no UTF-8 in the strict sense, and `decode` reads them.
    """
    try:
        return msgspec.json.encode(value, enc_hook=_known)
    except Exception:  # whatever a repr or a key raises: an odd value in a log must not cost the episode
        return json.dumps(_simple(value, 0), ensure_ascii=False).encode("utf-8", "surrogatepass")


def decode(data: bytes) -> Any:
    """Undo `encode`."""
    try:
        return msgspec.json.decode(data)
    except (UnicodeDecodeError, msgspec.DecodeError):
        return json.loads(data.decode("utf-8", "surrogatepass"))


def column(value: Any, *, ordered: bool = False) -> str:
    """A JSON-like value for a TEXT column; lone surrogates are escaped as by `text`."""
    try:
        return msgspec.json.encode(value, enc_hook=_known, order="sorted" if ordered else None).decode()
    except Exception:
        dumped = json.dumps(_simple(value, 0), ensure_ascii=False, sort_keys=ordered)
        return re.sub("[\ud800-\udfff]", lambda found: f"\\\\u{ord(found[0]):04x}", dumped)


def numbers(values: Mapping[str, Any]) -> tuple[dict[str, float], str]:
    """Split metrics into those that are numbers and a note about the others, empty when there are none."""
    kept = {name: value for name, value in values.items() if is_number(value)}
    if len(kept) == len(values):
        return kept, ""
    lost = ", ".join(f"{name} ({_shown(values[name])})" for name in values if name not in kept)
    return kept, f"metrics that are no numbers are left out: {lost}"


def _known(value: Any) -> Any:
    return dict(cast(Mapping[Any, Any], value)) if isinstance(value, Mapping) else repr(value)


def _simple(value: Any, depth: int) -> Any:
    if isinstance(value, str | bool | None):
        return value
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= DEPTH:
        return "..."
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, Any], value).items()
        return {k if isinstance(k, str) else _shown(k): _simple(v, depth + 1) for k, v in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [_simple(v, depth + 1) for v in cast(list[Any], value)]
    return _shown(value)


def _shown(value: Any) -> str:
    try:
        return repr(value)[:1000]
    except Exception as error:
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
