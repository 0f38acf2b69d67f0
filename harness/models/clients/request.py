"""Writes a request for TGI: its parameters, and the headers that name the call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from harness.types import Ask, CallKey, Value

MAX_STOPS = 4
_GREEDY_BELOW = 1e-4


def parameters(
    ask: Ask, *, seed: int | None, stop: Sequence[str] = (), decoding: Mapping[str, Value] | None = None
) -> dict[str, Any]:
    """Write an `Ask` as TGI parameters; nothing is left to the server's defaults.

    Greedy omits temperature: sending any but 1 switches sampling on even with do_sample false.
    """
    sampling = ask.top_p is not None or (ask.temperature is not None and ask.temperature > _GREEDY_BELOW)
    sent: dict[str, Any] = {"max_new_tokens": ask.max_new_tokens, "do_sample": sampling, "details": True}
    if sampling:
        if ask.temperature is not None:
            sent["temperature"] = ask.temperature
        if ask.top_p is not None and ask.top_p < 1.0:  # 1.0 is refused, and means the same
            sent["top_p"] = ask.top_p
    if stops := [*dict.fromkeys((*ask.stop, *stop))][:MAX_STOPS]:
        sent["stop"] = stops
    if ask.truncate is not None:
        sent["truncate"] = ask.truncate
    for key, value in (decoding or {}).items():
        sent.pop(key, None)
        if value is not None:
            sent[key] = value
    if samples(sent) and seed is not None:
        sent["seed"] = max(1, seed)
    return sent


def samples(sent: Mapping[str, Any]) -> bool:
    """Whether a TGI server draws at random under these parameters, whatever do_sample says."""
    return bool(
        sent.get("do_sample")
        or sent.get("temperature", 1.0) != 1.0
        or sent.get("top_k")
        or sent.get("top_p", 1.0) < 1.0
        or sent.get("typical_p", 1.0) < 1.0
    )


def call_headers(key: CallKey, role: str = "", part: str = "") -> dict[str, str]:
    """Name a call in headers; values that are not plain ASCII are percent-encoded."""
    named = {"X-Harness-Role": _header(role), "X-Harness-Part": _header(part)} if role else {}
    return named | {
        "X-Harness-Task": _header(key.task),
        "X-Harness-Sample": _header(key.sample),
        "X-Harness-Repeat": str(key.repeat),
        "X-Harness-Call": str(key.call),
    }


def _header(value: str) -> str:
    plain = value.isascii() and value.isprintable() and "%" not in value and value == value.strip()
    return value if plain else quote(value, safe="/ :,;=+", errors="replace")
