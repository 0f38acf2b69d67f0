"""TGI-protocol servers on loopback that answer from an oracle or from recorded replies."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from aiohttp import web

from harness.catalog.models import Entry
from harness.models.api import LiveEpisodes, Vectors
from harness.models.clients.embed_wire import Tei
from harness.models.local.answers import (
    Answerer,
    Asked,
    CutThought,
    NoReply,
    TooLong,
    oracle,
    read_replay,
    replay,
)
from harness.models.outside import paired
from harness.models.untrusted import decode, record, rows
from harness.types import CallKey

log = logging.getLogger(__name__)
_BODY_LIMIT = 256 << 20
_CHOICE_GRAMMAR = re.compile(r"^ \??(?:\[(?P<letters>\w+)\]|\((?P<words>.*)\))$", re.DOTALL)


@asynccontextmanager
async def serve(entry: Entry, live: LiveEpisodes) -> AsyncGenerator[str, None]:
    """Serve an `oracle` or `replay` entry on a free port of 127.0.0.1; yields the base URL."""
    answer = oracle(live) if entry.kind == "oracle" else replay(read_replay(Path(entry.path)))
    runner = web.AppRunner(application(answer, entry.name), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def application(answer: Answerer, name: str) -> web.Application:
    """Build the server around a function that answers calls."""

    async def generate(request: web.Request) -> web.StreamResponse:
        prompt, sent = await _asked(request)
        body, headers = _body(await answer(_key(request, prompt)), prompt, sent)
        return _json(body, headers=headers)

    async def stream(request: web.Request) -> web.StreamResponse:
        prompt, sent = await _asked(request)
        body, headers = _body(await answer(_key(request, prompt)), prompt, sent)
        details = body["details"]
        last = {"finish_reason": details["finish_reason"], "generated_tokens": details["generated_tokens"]}
        last |= {"input_length": _tokens(prompt), "seed": details["seed"]}
        event = {"index": 1, "token": details["tokens"][0], "generated_text": body["generated_text"]}
        payload = b"data:" + msgspec.json.encode(event | {"details": last}) + b"\n\n"
        return web.Response(body=payload, content_type="text/event-stream", headers=headers)

    async def compat(request: web.Request) -> web.StreamResponse:
        if record(decode(await request.read())).get("stream"):
            return await stream(request)
        prompt, sent = await _asked(request)
        body, headers = _body(await answer(_key(request, prompt)), prompt, sent)
        return _json([body], headers=headers)  # a list of one, as TGI's / has it

    async def embed(request: web.Request) -> web.StreamResponse:
        texts = rows(record(decode(await request.read())).get("inputs"))
        text = await answer(_key(request, json.dumps(texts, ensure_ascii=False)))
        return _json(_vectors(text, len(texts)))

    async def tokenize(request: web.Request) -> web.StreamResponse:
        text, _ = await _asked(request)
        ids = range(0, len(text), 4)
        return _json([{"id": i, "text": text[i : i + 4], "start": i, "stop": i + 4} for i in ids])

    async def info(request: web.Request) -> web.StreamResponse:
        return _json({**_INFO, "model_id": name})

    async def health(request: web.Request) -> web.StreamResponse:
        return web.Response()

    app = web.Application(middlewares=[_errors], client_max_size=_BODY_LIMIT)
    app.router.add_post("/", compat)
    app.router.add_post("/generate", generate)
    app.router.add_post("/generate_stream", stream)
    app.router.add_post("/embed", embed)
    app.router.add_post("/tokenize", tokenize)
    app.router.add_get("/info", info)
    app.router.add_get("/health", health)
    return app


_INFO: Mapping[str, Any] = {
    "model_sha": None,
    "model_pipeline_tag": "text-generation",
    "max_concurrent_requests": 1024,
    "max_best_of": 2,
    "max_stop_sequences": 4,
    "max_input_tokens": (1 << 20) - 1,
    "max_total_tokens": 1 << 20,
    "validation_workers": 1,
    "max_client_batch_size": 4,
    "router": "harness-loopback",
    "version": "3.3.6",
    "sha": None,
    "docker_label": None,
}


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except NoReply as error:
        return _json({"error": str(error), "error_type": "no_reply"}, 404)
    except TooLong as error:
        return _json({"error": str(error), "error_type": "validation"}, 413)
    except Exception as error:  # a failing oracle is an error of the harness: no retry
        log.exception("the loopback server failed")
        return _json({"error": f"{type(error).__name__}: {error}", "error_type": "loopback"}, 400)


async def _asked(request: web.Request) -> tuple[str, dict[str, Any]]:
    body = record(decode(await request.read()))
    return str(body["inputs"]), record(body.get("parameters"))


def _key(request: web.Request, prompt: str) -> Asked:
    value = request.headers
    try:
        return Asked(
            CallKey(
                unquote(value["X-Harness-Task"]),
                unquote(value["X-Harness-Sample"]),
                int(value["X-Harness-Repeat"]),
                int(value["X-Harness-Call"]),
            ),
            unquote(value.get("X-Harness-Role", "")),
            unquote(value.get("X-Harness-Part", "")),
            prompt,
        )
    except (KeyError, ValueError) as error:
        raise NoReply(f"the request has no X-Harness headers ({error})") from error


def _body(text: str, prompt: str, sent: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    finish = "length" if isinstance(text, CutThought) else "eos_token"
    text = paired(str(text))
    top: list[dict[str, Any]] = []
    if choices := _choices(record(sent.get("grammar"))):
        top = [_token(f" {c}", -0.1 if c == text.strip() else -9.0 - i) for i, c in enumerate(choices)]
        top.sort(key=lambda token: -token["logprob"])
        text, finish = top[0]["text"], "length"
    details: dict[str, Any] = {
        "finish_reason": finish,
        "generated_tokens": _tokens(text),
        "seed": sent.get("seed"),
        "prefill": [],
        "tokens": [_token(text, -0.1)],
    }
    if top:
        details["top_tokens"] = [top]
    headers = {
        "x-prompt-tokens": str(_tokens(prompt)),
        "x-generated-tokens": str(_tokens(text)),
        "x-queue-time": "0",
    }
    return {"generated_text": text, "details": details}, headers


def _vectors(text: str, texts: int) -> Vectors:
    """Read an answer as vectors; one that is none is refused here, as a retry would get it again."""
    try:
        return Tei().read(text.encode(), {}, texts)[0]
    except ValueError as error:
        raise NoReply(f"the answer is no {texts} vectors of one length ({error})") from error


def _choices(grammar: Mapping[str, Any]) -> list[str]:
    match = _CHOICE_GRAMMAR.match(str(grammar.get("value") or ""))
    if match is None:
        return []
    if match["letters"]:
        return list(match["letters"])
    return [re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\)\|", match["words"])]


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"id": len(text), "text": text, "logprob": logprob, "special": False}


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)


def _json(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(data)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
