"""A server of each protocol that answers GSM8K's fixture rightly, for commands that other processes run."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from loopback_server import serving_from_a_thread

from harness.data import task_folder

TGI, COMPLETIONS, CHAT = "/generate", "/v1/completions", "/v1/chat/completions"
INFO = {"model_id": "me/tuned", "model_sha": "abc", "version": "3.3.5", "max_total_tokens": 4096}
QUESTIONS = task_folder("gsm8k") / "fixture/grade_school_math/data/test.jsonl"
ROWS = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
GOLD = {row["question"]: row["answer"].rpartition("#### ")[2] for row in ROWS}


@dataclass(frozen=True)
class Request:
    """A generation request as it came."""

    path: str
    task: str
    key: str
    data: dict[str, Any]


@dataclass
class OwnServer:
    """Speaks the given paths; everything else is 404, and 401 without the right key.

    Attributes:
        paths: of the generation requests that it knows; TGI's comes with /info.
        served: what /v1/models lists; other names are refused, with the status `unknown`.
        room: tokens in all, as vLLM's list says them.
        key: the bearer token that it wants.
        seen: every generation request.
        looked: the paths of the pages that were asked for before a task's first request.
    """

    paths: tuple[str, ...]
    served: tuple[str, ...] = ("me/tuned",)
    room: int = 4096
    key: str = ""
    unknown: int = 404
    seen: list[Request] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)

    @property
    def played(self) -> list[Request]:
        """What was asked for a task."""
        return [one for one in self.seen if one.task == "gsm8k"]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer whatever is asked."""
        if request.method == "GET" and not self.played:
            self.looked.append(request.path)
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.key and key != self.key:
            return web.json_response({"error": {"message": f"wrong key {key}"}}, status=401)
        if request.path == "/info" and TGI in self.paths:
            return web.json_response(INFO)
        if request.path == "/v1/models" and self.paths != (TGI,):
            rows = [{"id": name, "max_model_len": self.room} for name in self.served]
            return web.json_response({"data": rows})
        if request.path not in self.paths:
            return web.json_response({"detail": "Not Found"}, status=404)
        data = await request.json()
        self.seen.append(Request(request.path, request.headers.get("X-Harness-Task", ""), key, data))
        if request.path != TGI and data["model"] not in self.served:
            return web.json_response({"error": {"message": f"no model {data['model']}"}}, status=self.unknown)
        return web.json_response(told(request.path, said(data)))


def said(data: dict[str, Any]) -> str:
    """The right answer to the question that a request ends with; to others one that is drawn by its seed."""
    prompt = data.get("inputs") or data.get("prompt") or data["messages"][-1]["content"]
    asked = next((question for question in GOLD if f"Question: {question}" in prompt[-2000:]), "")
    if not asked and data.get("temperature"):
        return f"This was drawn by the number {data.get('seed')}."
    return f"The answer is {GOLD.get(asked)}."


def told(path: str, text: str) -> dict[str, Any]:
    """An answer in the path's protocol."""
    if path == TGI:
        details = {"finish_reason": "eos_token", "generated_tokens": 5, "prefill": [], "tokens": []}
        return {"generated_text": text, "details": details}
    choice: dict[str, Any] = {"message": {"content": text}} if path == CHAT else {"text": text}
    usage = {"prompt_tokens": 9, "completion_tokens": 5}
    return {"choices": [{**choice, "finish_reason": "stop"}], "usage": usage}


def running(*servers: OwnServer) -> AbstractContextManager[list[str]]:
    """Serve from a thread of its own; gives the base URLs."""
    return serving_from_a_thread(*(server.answer for server in servers))
