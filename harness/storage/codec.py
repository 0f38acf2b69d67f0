"""Compressed texts of a run: prompts are kept as what they add to the call before."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.errors import StoreError
from harness.storage import plain, turns
from harness.storage.records import CallRecord, Turn

LEVEL = 1
"""zstd level: higher ones save a few percent of these short texts and cost several times as much."""

RAW, ZSTD = b"\0", b"\1"
MOST_RATIO = 1 << 15
"""No zstd frame holds more bytes for each of its own: a block of 128 kB takes four bytes at least."""
SMALL = 64
"""Below this many bytes compression only adds its header."""

_LENGTHS = struct.Struct("<II")


class Codec:
    """Packs and unpacks texts and JSON values for the store; not thread-safe."""

    def __init__(self) -> None:
        import zstandard

        self._zip = zstandard.ZstdCompressor(level=LEVEL)
        self._unzip = zstandard.ZstdDecompressor()
        self._size, self._damaged = zstandard.frame_content_size, zstandard.ZstdError

    def pack(self, text: str) -> bytes:
        """Encode any str, lone surrogates included."""
        return self._pack(_bytes(text))

    def unpack(self, blob: bytes) -> str:
        """Undo `pack`."""
        return _str(self._unpack(blob))

    def pack_json(self, value: Any) -> bytes:
        """Encode a JSON-like value; what JSON does not know is stored as its repr."""
        return self._pack(plain.encode(value))

    def unpack_json(self, blob: bytes) -> Any:
        """Undo `pack_json`."""
        return plain.decode(self._unpack(blob))

    def _pack(self, data: bytes) -> bytes:
        return RAW + data if len(data) < SMALL else ZSTD + self._zip.compress(data)

    def _unpack(self, blob: bytes) -> bytes:
        if blob[:1] == RAW:
            return blob[1:]
        frame = blob[1:]
        try:
            # As much memory as it claims would be taken before the rest is read.
            if self._size(frame) > len(frame) * MOST_RATIO:
                raise self._damaged("its size is wrong")
            return self._unzip.decompress(frame)
        except self._damaged as error:
            raise StoreError(f"a stored text is damaged ({error}); restore the run from a copy") from error

    def rows(self, calls: Sequence[CallRecord]) -> Iterator[tuple[Any, ...]]:
        """Rows for the `turn` table without the episode, each prompt relative to its role's call before.

        A body is one frame of the prompt's tail, the reply, and JSON for the rest: two frames,
        of which neither can refer to the other's words, take twice the bytes.
        """
        last: dict[str, CallRecord] = {}
        for call in calls:
            before = last.get(call.role)
            prefix = shared_prefix(before.prompt, call.prompt) if before else 0
            last[call.role] = call
            tail, reply = _bytes(call.prompt[prefix:]), _bytes(call.reply)
            rest = plain.encode(_rest(call, before, prefix))
            body = self._pack(_LENGTHS.pack(len(tail), len(reply)) + tail + reply + rest)
            parent = before.n if before else None
            yield plain.text(call.role), plain.integer(call.n), plain.text(call.key), parent, prefix, body

    def records(self, rows: Iterable[tuple[Any, ...]]) -> list[CallRecord]:
        """Undo `rows` for one role, in the order of `n`."""
        found: dict[int, CallRecord] = {}
        for role, n, key, parent, prefix, body in rows:
            data = self._unpack(body)
            start, middle, end = _parts(data)
            before = found[parent] if parent is not None else None
            prompt = (before.prompt[:prefix] if before else "") + _str(data[start:middle])
            rest = plain.decode(data[end:])
            turn = turns.unpacked(rest["turn"], prompt, before) if "turn" in rest else None
            found[n] = CallRecord(
                n,
                prompt,
                _str(data[middle:end]),
                rest.get("facts", {}),
                rest.get("info", {}),
                role,
                key,
                turn,
                rest.get("thought", ""),
            )
        return list(found.values())

    def facts(self, body: bytes) -> Mapping[str, Any]:
        """Of a row's body what was logged of the reply, without putting the prompt together."""
        data = self._unpack(body)
        return plain.decode(data[_parts(data)[2] :]).get("facts", {})

    def info(self, body: bytes) -> Mapping[str, Any]:
        """Of a row's body the environment's log, without putting the prompt together."""
        data = self._unpack(body)
        return plain.decode(data[_parts(data)[2] :]).get("info", {})

    def records_of_version_1(self, rows: Iterable[tuple[Any, ...]]) -> list[CallRecord]:
        """Calls of one role from rows of version 1's table `call`."""
        prompts: dict[int, str] = {}
        found: list[CallRecord] = []
        for _, role, n, key, parent, prefix, tail, reply, facts, info in rows:
            head = prompts[parent][:prefix] if parent is not None else ""
            prompts[n] = head + self.unpack(tail)
            facts, info = self.unpack_json(facts), self.unpack_json(info)
            found.append(CallRecord(n, prompts[n], self.unpack(reply), facts, info, role, key))
        return found

    def pack_last(self, turn: Turn, calls: Sequence[CallRecord]) -> bytes:
        """Encode the observation after the last reply; what the last call holds as well is not repeated."""
        before = next((call for call in reversed(calls) if not call.role), None)
        return self.pack_json(turns.packed(turn, "", before, 0))

    def unpack_last(self, blob: bytes, before: CallRecord | None) -> Turn:
        """Undo `pack_last`, given the last call of the model under test."""
        return turns.unpacked(self.unpack_json(blob), "", before)


def _parts(data: bytes) -> tuple[int, int, int]:
    """Where a body's tail, reply and rest begin."""
    tail, reply = _LENGTHS.unpack_from(data)
    return _LENGTHS.size, _LENGTHS.size + tail, _LENGTHS.size + tail + reply


def _rest(call: CallRecord, before: CallRecord | None, prefix: int) -> dict[str, Any]:
    rest: dict[str, Any] = {}
    if call.facts:
        rest["facts"] = call.facts
    if call.info:
        rest["info"] = call.info
    if call.thought:
        rest["thought"] = call.thought
    if call.turn is not None:
        rest["turn"] = turns.packed(call.turn, call.prompt, before, prefix)
    return rest


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _str(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def shared_prefix(a: str, b: str) -> int:
    """Length of the longest common prefix, by bisection: comparing slices runs at memory speed."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low
