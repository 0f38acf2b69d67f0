"""Compressed texts of a run: prompts are kept as what they add to the call before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import msgspec

from harness.attempts import CallRecord

LEVEL = 1
"""zstd level: higher ones save a few percent of these short texts and cost several times as much."""

RAW, ZSTD = b"\0", b"\1"
SMALL = 64
"""Below this many bytes compression only adds its header."""


class Bodies:
    """Packs and unpacks texts and JSON values for the store; not thread-safe."""

    def __init__(self) -> None:
        import zstandard

        self._zip = zstandard.ZstdCompressor(level=LEVEL)
        self._unzip = zstandard.ZstdDecompressor()

    def pack(self, text: str) -> bytes:
        """Encode any str, lone surrogates included."""
        return self._pack(text.encode("utf-8", "surrogatepass"))

    def unpack(self, blob: bytes) -> str:
        """Undo `pack`."""
        return self._unpack(blob).decode("utf-8", "surrogatepass")

    def pack_json(self, value: Any) -> bytes:
        """Encode a JSON-like value; what JSON does not know is stored as its repr."""
        try:
            return self._pack(msgspec.json.encode(value, enc_hook=repr))
        except UnicodeEncodeError:
            return self._pack(msgspec.json.encode(_clean(value)))

    def unpack_json(self, blob: bytes) -> Any:
        """Undo `pack_json`."""
        return msgspec.json.decode(self._unpack(blob))

    def _pack(self, data: bytes) -> bytes:
        return RAW + data if len(data) < SMALL else ZSTD + self._zip.compress(data)

    def _unpack(self, blob: bytes) -> bytes:
        return blob[1:] if blob[:1] == RAW else self._unzip.decompress(blob[1:])

    def rows(self, episode: int | None, calls: Sequence[CallRecord]) -> Iterator[tuple[Any, ...]]:
        """Rows for the `call` table, each prompt relative to the call before it in its role."""
        last: dict[str, CallRecord] = {}
        for call in calls:
            parent = last.get(call.role)
            prefix = shared_prefix(parent.prompt, call.prompt) if parent else 0
            last[call.role] = call
            yield (
                episode,
                call.role,
                call.n,
                call.key,
                parent.n if parent else None,
                prefix,
                self.pack(call.prompt[prefix:]),
                self.pack(call.reply),
                self.pack_json(call.facts),
                self.pack_json(call.info),
            )

    def records(self, rows: Iterable[tuple[Any, ...]]) -> list[CallRecord]:
        """Undo `rows` for one role, in the order of `n`."""
        prompts: dict[int, str] = {}
        found: list[CallRecord] = []
        for _, role, n, key, parent, prefix, tail, reply, facts, info in rows:
            head = prompts[parent][:prefix] if parent is not None else ""
            prompts[n] = head + self.unpack(tail)
            facts, info = self.unpack_json(facts), self.unpack_json(info)
            found.append(CallRecord(n, prompts[n], self.unpack(reply), facts, info, role, key))
        return found


def shared_prefix(a: str, b: str) -> int:
    """Length of the longest common prefix, by bisection: comparing slices runs at memory speed."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low


def _clean(value: Any) -> Any:
    """Escape lone surrogates, which JSON cannot carry."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_clean(k): _clean(v) for k, v in cast(dict[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_clean(v) for v in cast(list[Any], value)]
    return value if isinstance(value, int | float | bool | None) else _clean(repr(value))
