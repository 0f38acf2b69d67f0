"""Bodies are read within bounds of size and time, compressed ones too; beyond, it is the server's fault."""

import asyncio
import functools
import gzip
import json
import time
import tracemalloc
import zlib

import pytest
from fault_server import TEXT, Behaviour, FaultServer

from harness.errors import EndpointError
from harness.models.api import Call, Options
from harness.models.clients.transport import MOST_BODY
from harness.models.connect import open_model
from harness.types import Ask, CallKey, Message

MB = 1 << 20
FAST = 20.0
"""Seconds of the pool's clock in one: its pauses between attempts are shorter, deadlines stay as long."""


def call(number=0, deadline_s=30.0):
    key = CallKey("gsm8k", f"test/{number}", 0, 0)
    return Call(key, (Message("user", "hi"),), None, Ask(64), deadline_s=deadline_s * FAST)


def open_at(*servers, selector="agentlm-7b", **more):
    options = Options(time_scale=FAST, **more)
    return open_model(selector, endpoints=[server.url for server in servers], options=options)


async def play(model, bad, deadline_s=30.0):
    """Ask until the bad replica was asked as well; every reply must come in time."""
    for number in range(64):
        reply = await model.complete(call(number, deadline_s))
        assert reply.text == TEXT and reply.latency_s < deadline_s + 1
        if number >= 3 and bad.seen:
            return
    raise AssertionError("the bad replica was never asked")


@functools.cache
def bomb(size, *, encoding="gzip"):
    """A body that decompresses to `size` bytes of one JSON string."""
    packer = zlib.compressobj(6, wbits=31 if encoding == "gzip" else 15)
    head, piece, tail = b'{"generated_text": "', b"a" * MB, b'"}'
    parts = [
        packer.compress(head),
        *(packer.compress(piece) for _ in range(size // MB)),
        packer.compress(tail),
    ]
    return b"".join([*parts, packer.flush()])


class Endless(FaultServer):
    """Sends `head`, then `piece` again and again until the client hangs up; counts what it could send."""

    def __init__(self, head, piece, *, pause_s=0.0, **more):
        super().__init__(**more)
        self.head, self.piece, self.pause_s, self.sent = head, piece, pause_s, 0

    async def behave(self, how, seen, reader, writer):
        if how is not self.default:
            return await super().behave(how, seen, reader, writer)
        writer.write(self.head)
        while True:
            writer.write(self.piece)
            await writer.drain()
            self.sent += len(self.piece)
            await asyncio.sleep(self.pause_s)


def head(status=200, kind="application/json", **headers):
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


STREAM = "text/event-stream"
EVENT = b'data:{"token": {"text": "a"}}\n\n'
ENDLESS = {
    "an answer": (head(), b"[" + b'"a",' * 16384, False),
    "chunks": (head(Transfer_Encoding="chunked"), b"10000\r\n" + b" " * 65536 + b"\r\n", False),
    "a line of a stream": (head(kind=STREAM), b"a" * 65536, True),
    "comments of a stream": (head(kind=STREAM), b": waiting\n" * 6554, True),
    "events": (head(kind=STREAM), EVENT * 2000, True),
    "an answer where a stream was asked for": (head(), b" " * 65536, True),
    "an error": (head(500), b"no " * 16384, False),
}


@pytest.mark.parametrize(("start", "piece", "stream"), ENDLESS.values(), ids=ENDLESS.keys())
async def test_what_never_ends_is_left(start, piece, stream):
    bad = Endless(start, piece)
    async with bad, FaultServer() as good, open_at(bad, good, stream=stream) as model, asyncio.timeout(60):
        await play(model, bad)
        assert bad.sent < len(bad.seen) * (MOST_BODY + 8 * MB)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("status", [200, 500])
async def test_a_bomb_is_unpacked_no_further_than_the_bound(encoding, status):
    body = bomb(256 * MB, encoding=encoding)
    assert len(body) < MB
    bad = FaultServer(default=Behaviour(status, body, headers=(("Content-Encoding", encoding),)))
    async with bad, FaultServer() as good, open_at(bad, good) as model:
        tracemalloc.start()
        try:
            await play(model, bad)
            assert tracemalloc.get_traced_memory()[1] < 120 * MB
        finally:
            tracemalloc.stop()


COMPRESSED = {
    "not gzip": ("gzip", b"this is not gzip"),
    "cut": ("gzip", gzip.compress(b'{"generated_text": "x"}' * 99)[:40]),
    "not deflate": ("deflate", b"\xff" * 100),
    "unknown": ("zstd", b"\xff" * 100),
    "many members": ("gzip", gzip.compress(b"") * 5000),
}


@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize(("encoding", "body"), COMPRESSED.values(), ids=COMPRESSED.keys())
async def test_what_does_not_unpack_is_a_fault(encoding, body, status):
    bad = FaultServer(default=Behaviour(status, body, headers=(("Content-Encoding", encoding),)))
    async with bad, FaultServer() as good, open_at(bad, good) as model:
        await play(model, bad)


async def test_a_compressed_answer_is_read():
    body = gzip.compress(json.dumps({"generated_text": "packed"}).encode())
    packed = Behaviour(body=body, headers=(("Content-Encoding", "gzip"),))
    async with FaultServer(default=packed) as server, open_at(server) as model:
        assert (await model.complete(call())).text == "packed"


FRAMING = {
    "no status": b"hello\r\n\r\n",
    "status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "bad header": b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "header too long": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
    "length of letters": b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
    "length of 5000 digits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "length negative": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "length too long": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
    "length too short": b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}{"a": 1}HTTP/1.1 200 OK\r\n\r\n',
    "chunk of letters": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "chunk cut": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc",
    "chunk huge": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\nabc",
    "type odd": b"HTTP/1.1 200 OK\r\nContent-Type: \xff;;;=\r\nContent-Length: 0\r\n\r\n",
    "cookie odd": b"HTTP/1.1 500 No\r\nSet-Cookie: \x01=;=;\r\nContent-Length: 0\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "continue for ever": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
    "redirect nowhere": b"HTTP/1.1 302 Found\r\nLocation: http://[::bad\r\nContent-Length: 0\r\n\r\n",
}


class Framed(FaultServer):
    raw = b""

    async def behave(self, how, seen, reader, writer):
        writer.write(self.raw)
        await writer.drain()
        return False


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("raw", FRAMING.values(), ids=FRAMING.keys())
async def test_broken_framing_is_a_fault(raw, stream):
    bad = Framed()
    bad.raw = raw
    async with bad, FaultServer() as good, open_at(bad, good, stream=stream) as model:
        await play(model, bad)


@pytest.mark.parametrize(
    ("start", "stream"), [(head(), False), (head(500), False), (head(kind=STREAM), True)]
)
async def test_a_body_that_trickles_leaves_time_for_another_replica(start, stream):
    bad = Endless(start, b":\n", pause_s=0.05)
    async with bad, FaultServer() as good, open_at(bad, good, stream=stream) as model, asyncio.timeout(60):
        await play(model, bad, deadline_s=3.0)


async def test_a_body_that_trickles_ends_with_the_deadline():
    bad = Endless(head(), b" ", pause_s=0.05)
    async with bad, open_at(bad) as model:
        began = time.monotonic()
        with pytest.raises(EndpointError):
            await model.complete(call(deadline_s=1.0))
        assert time.monotonic() - began < 30.0, "the body itself has no end"
