"""TGI-protocol servers on loopback that answer from an oracle or from recorded replies."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from aiohttp import web

from harness.errors import DataError, MissingPart
from harness.models.catalog import Entry
from harness.models.client import LiveEpisodes
from harness.types import CallKey

log = logging.getLogger(__name__)
_BODY_LIMIT = 256 << 20
_CHOICE_GRAMMAR = re.compile(r"^ \??\((.*)\)$", re.DOTALL)
Answer = Callable[[CallKey], str]


class NoReply(Exception):
    """Nothing is recorded for a call; answered as 404, which no retry mends."""


@asynccontextmanager
async def serve(entry: Entry, live: LiveEpisodes) -> AsyncIterator[str]:
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


def oracle(live: LiveEpisodes) -> Answer:
    """Answer from the oracle of the live episode; a repeated call gets the same answer."""

    def answer(key: CallKey) -> str:
        found = live.get(key.task, key.sample, key.repeat)
        if found is None:
            raise NoReply(f"no live episode {key.task} {key.sample} #{key.repeat} was put for the oracle")
        if key.call not in found.answers:
            found.answers[key.call] = found.oracle.reply(found.observation)
        return found.answers[key.call]

    return answer


def replay(replies: Mapping[tuple[str, str], list[str]]) -> Answer:
    """Answer reply number `call`; past the end the last one repeats."""

    def answer(key: CallKey) -> str:
        recorded = replies.get((key.task, key.sample))
        if not recorded:
            raise NoReply(f"the replay file has no replies for task {key.task} sample {key.sample}")
        return recorded[min(key.call, len(recorded) - 1)]

    return answer


def read_replay(path: Path) -> dict[tuple[str, str], list[str]]:
    """Read `{"task", "sample", "replies": [...]}` lines."""
    if not path.is_file():
        raise MissingPart(f"replay file {path} is not there; it is JSONL with task, sample and replies")
    replies: dict[tuple[str, str], list[str]] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line)
                task, sample, said = str(row["task"]), str(row["sample"]), row["replies"]
                if not isinstance(said, list) or not all(isinstance(text, str) for text in said):
                    raise ValueError("replies is not a list of strings")
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}:{number}: not a replay line ({error})") from error
            replies[task, sample] = said
    return replies


def application(answer: Answer, name: str) -> web.Application:
    """Build the server around a function that answers calls."""

    async def generate(request: web.Request) -> web.StreamResponse:
        data: Any = msgspec.json.decode(await request.read())
        text = answer(_key(request))
        sent = data.get("parameters") or {}
        return _json(_body(text, data["inputs"], sent))

    async def stream(request: web.Request) -> web.StreamResponse:
        data: Any = msgspec.json.decode(await request.read())
        text = answer(_key(request))
        body = _body(text, data["inputs"], data.get("parameters") or {})
        details = body["details"]
        event = {
            "index": 1,
            "token": details["tokens"][0],
            "generated_text": body["generated_text"],
            "details": {
                "finish_reason": details["finish_reason"],
                "generated_tokens": details["generated_tokens"],
                "input_length": _tokens(data["inputs"]),
                "seed": None,
            },
        }
        payload = b"data:" + msgspec.json.encode(event) + b"\n\n"
        return web.Response(body=payload, content_type="text/event-stream")

    async def tokenize(request: web.Request) -> web.StreamResponse:
        text = msgspec.json.decode(await request.read())["inputs"]
        return _json(
            [{"id": i, "text": text[i : i + 4], "start": i, "stop": i + 4} for i in range(0, len(text), 4)]
        )

    async def info(request: web.Request) -> web.StreamResponse:
        return _json(_INFO | {"model_id": name})

    async def health(request: web.Request) -> web.StreamResponse:
        return web.Response()

    app = web.Application(middlewares=[_errors], client_max_size=_BODY_LIMIT)
    app.router.add_post("/generate", generate)
    app.router.add_post("/generate_stream", stream)
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
    except Exception as error:  # an oracle that fails is the harness's fault: say so, and do not retry
        log.exception("the loopback server failed")
        return _json({"error": f"{type(error).__name__}: {error}", "error_type": "loopback"}, 400)


def _key(request: web.Request) -> CallKey:
    value = request.headers
    try:
        return CallKey(
            unquote(value["X-Harness-Task"]),
            unquote(value["X-Harness-Sample"]),
            int(value["X-Harness-Repeat"]),
            int(value["X-Harness-Call"]),
        )
    except (KeyError, ValueError) as error:
        raise NoReply(f"the request has no X-Harness headers ({error})") from error


def _body(text: str, prompt: str, sent: Mapping[str, Any]) -> dict[str, Any]:
    wanted = sent.get("grammar")
    finish = "eos_token"
    details: dict[str, Any] = {"prefill": [], "seed": sent.get("seed")}
    if wanted and (match := _CHOICE_GRAMMAR.match(wanted["value"])):
        choices = [re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\)\|", match[1])]
        top = [_token(f" {c}", 0.0 if c == text.strip() else -9.0 - i) for i, c in enumerate(choices)]
        top.sort(key=lambda token: -token["logprob"])
        details["top_tokens"] = [top]
        text, finish = top[0]["text"], "length"
    text = text.encode("utf-8", "replace").decode()
    details |= {"finish_reason": finish, "tokens": [_token(text, 0.0)], "generated_tokens": _tokens(text)}
    return {"generated_text": text, "details": details, "prompt_tokens": _tokens(prompt)}


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"id": len(text), "text": text, "logprob": logprob, "special": False}


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)


def _json(data: Any, status: int = 200) -> web.Response:
    body = msgspec.json.encode(data)
    sent: dict[str, str] = {}
    if isinstance(data, dict) and "prompt_tokens" in data:
        sent = {
            "x-prompt-tokens": str(data.pop("prompt_tokens")),
            "x-generated-tokens": str(data["details"]["generated_tokens"]),
            "x-queue-time": "0",
        }
        body = msgspec.json.encode(data)
    return web.Response(body=body, status=status, content_type="application/json", headers=sent)
