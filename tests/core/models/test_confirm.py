"""Which probes count for an answer: those that began after it, one for all that arrived until then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from loopback_server import serving

from harness.catalog.models import Entry
from harness.errors import ModelChanged
from harness.models.clients.confirm import Confirmation
from harness.models.clients.probe import probe
from harness.models.clients.transport import Transport
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.limits import Limit

INFO = {"model_id": "ours", "model_sha": "1", "version": "3.3.5"}


@dataclass
class Server:
    """Answers /info when it may.

    Attributes:
        says: what, or None for a failure.
        asked: released once for every request that came.
        answers: acquired for every answer.
    """

    says: dict[str, str] | None = field(default_factory=lambda: dict(INFO))
    asked: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    answers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def info(self, _: web.Request) -> web.Response:
        self.asked.release()
        await self.answers.acquire()
        return web.json_response(self.says or {}, status=200 if self.says else 503)


@asynccontextmanager
async def confirming() -> AsyncIterator[tuple[Server, Confirmation, Endpoint]]:
    server, app, transport = Server(), web.Application(), Transport(limit=0)
    app.router.add_get("/info", server.info)
    try:
        async with serving(app) as url, asyncio.timeout(60):
            endpoint = Endpoint(url, Limit(8.0, 8), await probe(transport, url))
            await server.asked.acquire()
            yield server, Confirmation(transport, Entry("ours", template="")), endpoint
    finally:
        await transport.close()


@pytest.mark.parametrize("count", [1, 40])
async def test_answers_that_arrive_during_a_probe_share_the_next_one(count: int):
    async with confirming() as (server, confirmation, endpoint):
        first = asyncio.create_task(confirmation.confirm(endpoint))
        await server.asked.acquire()
        later = [asyncio.create_task(confirmation.confirm(endpoint)) for _ in range(count)]
        server.answers.release()
        await first
        await server.asked.acquire()
        assert not any(task.done() for task in later), "the probe that ran began before they arrived"
        server.answers.release()
        await asyncio.gather(*later)
        assert server.asked.locked(), "one for all of them"


async def test_where_a_probe_fails_the_others_ask_again():
    async with confirming() as (server, confirmation, endpoint):
        server.says = None
        tasks = [asyncio.create_task(confirmation.confirm(endpoint)) for _ in range(3)]
        await server.asked.acquire()
        server.answers.release()
        await server.asked.acquire()
        assert sum(task.done() for task in tasks) == 1
        server.says = INFO | {"model_sha": "2"}
        server.answers.release()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in found].count(ModelChanged) == 2
        with pytest.raises(ModelChanged):
            await confirmation.confirm(endpoint)
        assert server.asked.locked(), "what is known to have changed is not asked again"


async def test_one_that_is_given_up_leaves_the_asking_to_another():
    async with confirming() as (server, confirmation, endpoint):
        asks, waits = (asyncio.create_task(confirmation.confirm(endpoint)) for _ in range(2))
        await server.asked.acquire()
        next_asks = asyncio.create_task(confirmation.confirm(endpoint))
        await asyncio.sleep(0)
        for task in (asks, next_asks):
            task.cancel()
        await asyncio.gather(asks, next_asks, return_exceptions=True)
        for _ in range(2):
            server.answers.release()
        await waits
