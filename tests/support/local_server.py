"""A tiny local model behind its server, and requests to it over a real socket."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from harness.models.local.loading import Settings, load
from harness.models.local.service import Service
from harness.models.local.tgi_server import serving

WAIT_S = 250.0


@dataclass(frozen=True)
class Local:
    """A running server."""

    service: Service
    url: str
    session: aiohttp.ClientSession

    async def post(self, path: str, inputs: str, **parameters: Any) -> tuple[int, Any]:
        """Status and body of an answer; a body that is no JSON is given as text."""
        async with self.session.post(self.url + path, json=asked(inputs, parameters)) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if "json" in answer.content_type else text

    async def generate(self, inputs: str, **parameters: Any) -> Any:
        """The body of an answer that has to succeed."""
        status, body = await self.post("/generate", inputs, details=True, **parameters)
        assert status == 200, body
        return body

    async def stream(self, inputs: str, **parameters: Any) -> list[Any]:
        """All events of a stream."""
        async with self.session.post(self.url + "/generate_stream", json=asked(inputs, parameters)) as answer:
            assert (answer.status, answer.content_type) == (200, "text/event-stream")
            return events(await answer.read())

    async def until(self, true: Any) -> None:
        """Wait until a condition of the engine, which runs in a thread of its own, holds."""
        async with asyncio.timeout(WAIT_S):
            while not true():  # noqa: ASYNC110 - the engine has no event for what tests look at
                await asyncio.sleep(0.001)


def asked(inputs: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """A request's body."""
    return {"inputs": inputs, "parameters": {"do_sample": False, **parameters}}


def events(data: bytes) -> list[Any]:
    """The events of a stream's bytes."""
    parts = [part for part in data.split(b"\n\n") if part.startswith(b"data:")]
    return [json.loads(part.removeprefix(b"data:")) for part in parts]


def ids(body: Any) -> list[int]:
    """Ids of the tokens of an answer."""
    return [token["id"] for token in body["details"]["tokens"]]


@asynccontextmanager
async def local(folder: Path, **settings: Any) -> AsyncGenerator[Local, None]:
    """Load a folder's model and serve it."""
    chosen = Settings(device="cpu", **settings)
    loaded = await asyncio.to_thread(load, str(folder), chosen)
    async with (
        serving(loaded, chosen) as (service, url),
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(WAIT_S)
        ) as session,
    ):
        yield Local(service, url, session)


def prompts(count: int, seed: int, longest: int = 60) -> Sequence[str]:
    """Random texts of words that the tiny tokenizer mostly knows."""
    draw = random.Random(seed)
    words = ["apples", "two", "The", "answer", "is", "Question:", "pear", "\u00e9", "\u4e2d", "1", "2", "?"]
    return [" ".join(draw.choices(words, k=draw.randint(1, longest))) for _ in range(count)]
