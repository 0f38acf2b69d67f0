"""JSON of unknown shape, read without trusting it."""

from __future__ import annotations

import json
from typing import Any, cast


def decode(body: bytes) -> Any:
    """Decode JSON.

    Raises:
        ValueError: it is not JSON.
    """
    import msgspec

    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        # Slower, but it takes lone surrogates and -Infinity, which some servers write.
        return json.loads(body)


def record(value: Any) -> dict[str, Any]:
    """Take an object as it is and anything else as an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def rows(value: Any) -> list[Any]:
    """Take a list as it is and anything else as an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def number(value: Any) -> float:
    """Read a number a server may have sent as text; 0 when it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
