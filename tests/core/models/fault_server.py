"""A TGI-protocol server that fails on purpose, byte by byte: raw sockets, no framework in the way."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

TEXT = "Grüße \u4e2d\u6587 \U0001f600 done"
INFO = {
    "model_id": "THUDM/agentlm-7b",
    "model_sha": "abc",
    "model_pipeline_tag": "text-generation",
    "max_concurrent_requests": 128,
    "max_best_of": 2,
    "max_stop_sequences": 4,
    "max_input_tokens": 4095,
    "max_total_tokens": 4096,
    "validation_workers": 2,
    "max_client_batch_size": 4,
    "router": "fault-server",
    "version": "3.3.6",
}

LISTED = ("m", "THUDM/agentlm-7b")


@dataclass(frozen=True)
class Behaviour:
    """What happens to one generation request.

    drop: "connect" closes at once, "headers" after the headers, "body" in the middle of the body.
    cut: bytes of the body that are sent before the connection closes (streams and others).
    stall: "headers" never answers, "body" sends the headers and half of the body, then nothing.
    pieces: sizes in which the body is written.
    """

    status: int = 200
    body: bytes | None = None
    content_type: str = "application/json"
    drop: str = ""
    cut: int | None = None
    stall: str = ""
    pieces: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    in_stream: dict[str, str] | None = None
    details: bool = True
    prefill: bool = False
    top_tokens: list[dict[str, Any]] | None = None


def error(status: int, message: str, error_type: str, *, stream: bool = False) -> Behaviour:
    """A TGI error body; `stream` sends it as an event inside a 200, as /generate_stream does."""
    told = {"error": message, "error_type": error_type}
    if stream:
        return Behaviour(in_stream=told)
    return Behaviour(status, json.dumps(told).encode())


@dataclass
class Seen:
    path: str
    headers: dict[str, str]
    data: dict[str, Any]
    body: bytes = b""


@dataclass
class FaultServer:
    """Answers `script` one behaviour a request, then `default`; remembers what it saw."""

    script: list[Behaviour] = field(default_factory=list)
    default: Behaviour = field(default_factory=Behaviour)
    text: str = TEXT
    info: dict[str, Any] | None = field(default_factory=lambda: dict(INFO))
    healthy: bool = True
    models: dict[str, Any] = field(
        default_factory=lambda: {"data": [{"id": "m"}, {"id": "THUDM/agentlm-7b"}]}
    )
    choose: Callable[[Seen], Behaviour | None] | None = None
    reply: Callable[[Seen], str] | None = None
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    probed: int = 0
    open: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> FaultServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        port = int(self.url.rsplit(":", 1)[1]) if self.url else 0
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=1 << 26)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        try:
            while (seen := await _read(reader)) is not None:
                if not await self.answer(seen, reader, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def answer(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if seen.path == "/health":
            return await write(writer, Behaviour(200 if self.healthy else 503), b"")
        if seen.path == "/info":
            self.probed += 1
            status = 404 if self.info is None else 200
            return await write(writer, Behaviour(status), json.dumps(self.info).encode())
        if seen.path == "/v1/models":
            return await write(writer, Behaviour(), json.dumps(self.models).encode())
        if seen.path == "/tokenize":
            words = seen.data["inputs"].split()
            rows = [{"id": i, "text": w, "start": 0, "stop": 0} for i, w in enumerate(words)]
            return await write(writer, Behaviour(), json.dumps(rows).encode())
        self.seen.append(seen)
        self.arrived.set()
        chosen = self.choose(seen) if self.choose else None
        behaviour = chosen or (self.script.pop(0) if self.script else self.default)
        return await self.behave(behaviour, seen, reader, writer)

    async def behave(
        self, how: Behaviour, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if how.drop == "connect":
            return False
        if how.stall == "headers":
            return await self._hang(reader)
        text = self.reply(seen) if self.reply else self.text
        streaming = seen.path == "/generate_stream" or bool(seen.data.get("stream"))
        if how.body is not None:
            body, kind = how.body, how.content_type
        elif streaming:
            body, kind = stream_body(text, how), "text/event-stream"
        else:
            told = answer_body(text, seen.data, how)
            body, kind = json.dumps([told] if seen.path == "/" else told).encode(), "application/json"
            if how.in_stream:
                body = json.dumps(how.in_stream).encode()
        if how.drop == "headers":
            await write(writer, how, body, kind=kind, until=0)
            return False
        if how.stall == "body":
            await write(writer, how, body, kind=kind, until=len(body) // 2)
            return await self._hang(reader)
        if how.cut is not None or how.drop == "body":
            until = how.cut if how.cut is not None else len(body) // 2
            # A stream has no length: its end looks like any other.
            await write(writer, how, body, kind=kind, until=until, length=not streaming)
            return False
        return await write(writer, how, body, kind=kind)

    async def _hang(self, reader: asyncio.StreamReader) -> bool:
        await reader.read()  # returns when the client closes the connection
        self.hung_up.set()
        return False


def answer_body(text: str, data: dict[str, Any], how: Behaviour) -> dict[str, Any]:
    told: dict[str, Any] = {"generated_text": text}
    if how.details:
        told["details"] = {
            "finish_reason": "eos_token",
            "generated_tokens": 3,
            "seed": (data.get("parameters") or {}).get("seed"),
            "prefill": [],
            "tokens": [{"id": 1, "text": text, "logprob": -0.5, "special": False}],
        }
        if how.top_tokens is not None:
            told["details"]["top_tokens"] = [how.top_tokens]
    return told


def stream_body(text: str, how: Behaviour) -> bytes:
    """Events whose tokens cut characters in half, as byte-fallback does; comments between them."""
    lines = [b": keep-alive\n\n"]
    for index, piece in enumerate(_broken(text)):
        token = {"id": index, "text": piece, "logprob": -0.1, "special": False}
        event = {"index": index, "token": token, "generated_text": None, "details": None}
        lines.append(b"data:" + json.dumps(event).encode() + b"\n\n")
        if how.in_stream and index == 1:
            return b"".join([*lines, b"data:" + json.dumps(how.in_stream).encode() + b"\n\n"])
    last = {"id": 2, "text": "</s>", "logprob": -0.1, "special": True}
    details = {"finish_reason": "eos_token", "generated_tokens": 3, "input_length": 7, "seed": None}
    event = {"index": 9, "token": last, "generated_text": text, "details": details if how.details else None}
    lines.append(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n")
    return b"".join(lines)


def _broken(text: str) -> Iterable[str]:
    raw = text.encode()
    return [raw[i : i + 3].decode("utf-8", "replace") for i in range(0, len(raw), 3)]


async def _read(reader: asyncio.StreamReader) -> Seen | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    _, path, _ = first.split(" ", 2)
    headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines if ":" in line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(path, headers, json.loads(body) if body else {}, body)


async def write(
    writer: asyncio.StreamWriter,
    how: Behaviour,
    body: bytes,
    *,
    kind: str = "application/json",
    until: int | None = None,
    length: bool = True,
) -> bool:
    lines = [f"HTTP/1.1 {how.status} Whatever", f"Content-Type: {kind}"]
    lines += [f"{name}: {value}" for name, value in how.headers]
    lines += [f"Content-Length: {len(body)}"] if length else ["Connection: close"]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
    sent = body if until is None else body[:until]
    step = how.pieces or max(1, len(sent))
    for start in range(0, len(sent), step):
        writer.write(sent[start : start + step])
        await writer.drain()
        if how.pieces:
            await asyncio.sleep(0)
    await writer.drain()
    return length
