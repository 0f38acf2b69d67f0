"""Servers that speak some protocols and refuse the rest, for what commands try before they begin."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from loopback_server import serving_from_a_thread

TGI, CHAT, COMPLETIONS = "/generate", "/v1/chat/completions", "/v1/completions"
INFO = {"model_id": "THUDM/agentlm-7b", "model_sha": "abc", "version": "3.3.5", "max_concurrent_requests": 8}
SAID = "The answer is 1."
USAGE = {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}
ANSWERS: dict[str, dict[str, Any]] = {
    TGI: {
        "generated_text": SAID,
        "details": {"finish_reason": "length", "generated_tokens": 1, "tokens": []},
    },
    CHAT: {"choices": [{"message": {"content": SAID}, "finish_reason": "stop"}], **USAGE},
    COMPLETIONS: {"choices": [{"text": SAID, "finish_reason": "stop"}], **USAGE},
}


@dataclass
class Server:
    """Speaks some protocols, and remembers for which tasks it was asked.

    Attributes:
        paths: of the generation requests it knows.
        info: what its /info says.
        models: what its /v1/models lists; requests for others are refused as vLLM refuses them.
        always: answers every request so, whatever it asks.
        refuses: a word that no request may hold.
        requests: how many of any kind it got.
    """

    paths: tuple[str, ...] = ()
    info: dict[str, Any] | None = None
    models: tuple[str, ...] = ()
    always: tuple[int, str, str] | None = None
    refuses: str = ""
    asked: set[str] = field(default_factory=set[str])
    requests: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if task := request.headers.get("X-Harness-Task"):
            self.asked.add(task)
        if self.always is not None:
            status, kind, text = self.always
            return web.Response(status=status, content_type=kind, text=text)
        if request.path == "/info" and self.info:
            return web.json_response(self.info)
        if request.path == "/v1/models" and self.models:
            return web.json_response({"data": [{"id": name} for name in self.models]})
        if request.path not in self.paths:
            return web.json_response({"detail": "Not Found"}, status=404)
        model = (await request.json()).get("model")
        if self.refuses and self.refuses in (await request.text()):
            return web.json_response({"error": f"unknown {self.refuses}"}, status=422)
        if self.models and model not in self.models:
            told = {"message": f"The model `{model}` does not exist.", "type": "NotFoundError"}
            return web.json_response({"error": told}, status=404)
        return web.json_response(ANSWERS[request.path])


@dataclass(frozen=True)
class Case:
    """Servers, the model that is asked for, the exit code and the fix that both commands must name."""

    servers: tuple[Callable[[], Server], ...]
    model: str = "agentlm-7b"
    status: int = 2
    fix: str = ""
    task: str = "gsm8k"


def tgi(sha: str = "abc") -> Callable[[], Server]:
    return lambda: Server((TGI,), {**INFO, "model_sha": sha})


@contextmanager
def started(case: Case) -> Iterator[tuple[list[Server], list[str]]]:
    """The case's servers and their addresses; a closed port's where it has none."""
    servers = [make() for make in case.servers]
    with serving_from_a_thread(*(server.answer for server in servers)) as urls:
        yield servers, urls or [f"http://127.0.0.1:{closed_port()}"]


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
