"""Servers on loopback that put a thought before recorded replies, over TGI's protocol and OpenAI's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web
from loopback_server import serving

from harness.models.local.answers import Asked
from harness.models.local.loopback import application


@dataclass(frozen=True)
class Variant:
    """How a thought stands before an answer.

    Attributes:
        before: in the text, before the answer.
        thought: what of it is a thought.
        field: the field of a chat message that holds the thought; empty when the text does.
        opened: whether the prompt's template opens the thought.
        stream: whether the answer comes as events.
        finish: the reason to end that the server gives.
        silent: nothing follows the thought.
    """

    before: str = ""
    thought: str = ""
    field: str = ""
    opened: bool = False
    stream: bool = False
    finish: str = "stop"
    silent: bool = False

    def text(self, answer: str) -> str:
        """What the text of a reply is."""
        return self.before + ("" if self.silent else answer)

    def tokens(self, answer: str) -> int:
        """What the servers count of a reply: its thought too, wherever it stands."""
        text = self.text(answer) + (self.thought if self.field else "")
        return max(1, len(text) // 4)


@dataclass(frozen=True)
class Recorded:
    """Replies of one sample by the number of the call; those to choices are letters, without a thought."""

    replies: Mapping[int, str]
    choices: frozenset[int]
    variant: Variant

    async def answer(self, asked: Asked) -> str:
        """The text of TGI's answer."""
        reply = self.replies[asked.key.call]
        return reply if asked.key.call in self.choices else self.variant.text(reply)

    async def chat(self, request: web.Request) -> web.Response:
        """A chat completion, whole or as events of a few characters."""
        sent = json.loads(await request.read())
        reply, how = self.replies[int(unquote(request.headers["X-Harness-Call"]))], self.variant
        text = how.text(reply)
        usage = {"prompt_tokens": 7, "completion_tokens": how.tokens(reply)}
        if not sent["stream"]:
            message = {"role": "assistant", "content": text or None, how.field: how.thought}
            choice = {"index": 0, "message": message, "finish_reason": how.finish}
            return web.json_response({"choices": [choice], "usage": usage})
        pieces = [{how.field: piece} for piece in _pieces(how.thought)]
        pieces += [{"content": piece} for piece in _pieces(text)]
        events = [{"choices": [{"index": 0, "delta": piece}]} for piece in pieces]
        events += [{"choices": [{"index": 0, "delta": {}, "finish_reason": how.finish}]}]
        events += [{"choices": [], "usage": usage}]
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        return web.Response(body=body.encode(), content_type="text/event-stream")

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Serve the protocol that the variant needs; yields the base URL."""
        if self.variant.field:
            app = web.Application(client_max_size=1 << 26)
            app.router.add_post("/v1/chat/completions", self.chat)
            app.router.add_get("/v1/models", _models)
        else:
            app = application(self.answer, "thinker")
        async with serving(app) as url:
            yield url


async def _models(request: web.Request) -> web.Response:
    return web.json_response({"data": [{"id": "thinker"}]})


def _pieces(text: str) -> list[str]:
    size = max(5, len(text) // 100)
    return [text[at : at + size] for at in range(0, len(text), size)]
