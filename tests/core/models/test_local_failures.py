"""The batch of a local model whose own steps fail: every request is told, none waits for ever."""

from __future__ import annotations

import asyncio
import threading

import pytest
from local_server import WAIT_S, Local, asked, events, ids, local
from tiny_model import needed, write_tiny

from harness.models.local.batch import Batch
from harness.models.local.slot_cache import SlotCache

COUNT = 7


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny"), positions=4096)


def broken(*args, **named):
    raise RuntimeError("broken on purpose")


async def running(server: Local, count: int):
    """Streams that are in the batch and never end by themselves."""
    body = asked("apples", {"max_new_tokens": 4000})
    streams = [await server.session.post(server.url + "/generate_stream", json=body) for _ in range(count)]
    await server.until(lambda: server.service.engine.running == count)
    return streams


async def last_event(stream):
    async with asyncio.timeout(WAIT_S):
        return events(await stream.read())[-1]


async def test_a_failure_while_a_cancelled_request_leaves_fails_the_others_and_the_engine_goes_on(
    tiny, monkeypatch
):
    async with local(tiny, batch=3) as server:
        good = await server.generate("two apples", max_new_tokens=6)
        with monkeypatch.context() as patch:
            streams = await running(server, 3)
            late = asyncio.create_task(server.post("/generate", "pear", max_new_tokens=4))
            await server.until(lambda: server.service.engine.waiting == 1)
            patch.setattr(SlotCache, "move", broken)
            streams[0].close()
            told = [await last_event(stream) for stream in streams[1:]]
            assert {event["error_type"] for event in told} == {"generation"}
            assert all("broken on purpose" in event["error"] for event in told)
            assert (await asyncio.wait_for(late, WAIT_S))[0] == 424
        assert server.service.engine.alive
        assert ids(await server.generate("two apples", max_new_tokens=6)) == ids(good)


async def test_a_failure_while_the_engine_recovers_fails_every_request_and_the_engine_goes_on(
    tiny, monkeypatch
):
    torch = needed("torch")
    async with local(tiny, batch=3) as server:
        good = await server.generate("two apples", max_new_tokens=6)

        def full(*args, **named):
            raise torch.OutOfMemoryError("tried to allocate 20 GiB")

        with monkeypatch.context() as patch:
            streams = await running(server, 3)
            patch.setattr(server.service.engine.budget, "shrink", broken)
            patch.setattr(server.service.loaded.model, "forward", full)
            told = [await last_event(stream) for stream in streams]
            assert all("broken on purpose" in event["error"] for event in told)
        assert server.service.engine.alive
        assert ids(await server.generate("two apples", max_new_tokens=6)) == ids(good)


async def test_an_engine_that_cannot_go_on_says_so(tiny, monkeypatch):
    async with local(tiny, batch=3) as server:
        with monkeypatch.context() as patch:
            streams = await running(server, 3)
            patch.setattr(Batch, "clear", broken)
            patch.setattr(SlotCache, "move", broken)
            streams[0].close()
            told = [await last_event(stream) for stream in streams[1:]]
            assert {event["error_type"] for event in told} == {"generation"}
            await server.until(lambda: not server.service.engine.alive)
        async with asyncio.timeout(WAIT_S):
            status, body = await server.post("/generate", "pear", max_new_tokens=4)
            assert status == 424 and "the local model stopped" in body["error"]
            async with server.session.get(server.url + "/health") as answer:
                assert answer.status == 503


async def test_where_memory_has_no_room_for_all_that_join_fewer_join(tiny, monkeypatch):
    torch, fit = needed("torch"), SlotCache.fit

    def scarce(cache, rows, length, used):
        if rows > 2:
            raise torch.OutOfMemoryError("tried to allocate 20 GiB")
        fit(cache, rows, length, used)

    async with local(tiny, batch=8) as server:
        stream = (await running(server, 1))[0]
        engine, model, all_wait = server.service.engine, server.service.loaded.model, threading.Event()
        forward = model.forward

        def held(*args, **named):
            assert all_wait.wait(WAIT_S)
            return forward(*args, **named)

        monkeypatch.setattr(model, "forward", held)
        monkeypatch.setattr(SlotCache, "fit", scarce)
        asks = [
            asyncio.create_task(server.post("/generate", "apples", max_new_tokens=9)) for _ in range(COUNT)
        ]
        await server.until(lambda: engine.waiting >= COUNT - 1)  # one may join before the pass is held
        all_wait.set()
        assert [status for status, _ in await asyncio.gather(*asks)] == [200] * COUNT
        assert engine.budget.rows == 2
        stream.close()
