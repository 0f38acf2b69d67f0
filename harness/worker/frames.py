"""Length-prefixed msgpack frames, in which a worker and its parent exchange calls and answers."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.errors import EnvironmentFault

HEAD = 4
"""Bytes of a frame's length, big-endian, the length itself excluded."""

FRAME_CAP = 64 * 2**20
"""Largest payload, in bytes, that either side accepts by default."""


class FrameError(EnvironmentFault):
    """A frame is over the cap, holds something msgpack cannot carry, or is no frame at all."""


class Request(msgspec.Struct, array_like=True, frozen=True):
    """One call: method of the handler and its positional arguments."""

    number: int
    method: str
    args: list[Any]


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """The result of the call of the same number; number 0 says that the handler is built.

    Attributes:
        kind: name of the exception's class when not `ok`.
        text: its message and the end of its traceback.
    """

    number: int
    ok: bool
    value: Any = None
    kind: str = ""
    text: str = ""


def encode(message: Request | Answer, cap: int = FRAME_CAP) -> bytes:
    """Pack a message into one frame.

    Raises:
        FrameError: a value cannot be carried (a lone surrogate, an object), or the frame is over the cap.
    """
    try:
        body = msgspec.msgpack.encode(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise FrameError(f"the message cannot be packed: {error}") from error
    if len(body) > cap:
        raise FrameError(f"a frame of {len(body)} bytes is over the cap of {cap}")
    return len(body).to_bytes(HEAD, "big") + body


def length(head: bytes, cap: int = FRAME_CAP) -> int:
    """Read a frame's length from its first bytes."""
    size = int.from_bytes(head, "big")
    if size > cap:
        raise FrameError(f"a frame announces {size} bytes, the cap is {cap}")
    return size


def request(body: bytes) -> Request:
    """Unpack a call."""
    return msgspec.msgpack.decode(body, type=Request)


def answer(body: bytes) -> Answer:
    """Unpack an answer.

    Raises:
        FrameError: the bytes are no answer.
    """
    try:
        return msgspec.msgpack.decode(body, type=Answer)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise FrameError(f"the worker sent something that is no answer: {error}") from error
