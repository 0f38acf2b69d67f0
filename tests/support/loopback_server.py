"""Servers of tests' own on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from threading import Event, Thread
from typing import TypeVar

from aiohttp import web

from harness.models.roles import RoleOptions, RoleSession, RoleSpec, open_role
from harness.running.verdicts import ChatOf


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serve an application on a free port of 127.0.0.1; yields the base URL."""
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


T = TypeVar("T")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextmanager
def in_a_thread(served: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Enter it on an event loop in a thread, where nothing that this thread does holds it up."""
    entered, up, over = list[T](), Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with served as value:
            entered.append(value)
            up.set()
            await over.wait()

    thread = Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert up.wait(30)
        yield entered[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(30)
        loop.close()


@asynccontextmanager
async def _serving_each(answers: Sequence[Answer]) -> AsyncIterator[list[str]]:
    async with AsyncExitStack() as stack:
        urls = list[str]()
        for answer in answers:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", answer)
            urls.append(await stack.enter_async_context(serving(app)))
        yield urls


@contextmanager
def serving_from_a_thread(*answers: Answer) -> Iterator[list[str]]:
    """Serve each on a port of its own, all paths; a command has the main thread, for its signals."""
    with in_a_thread(_serving_each(answers)) as urls:
        yield urls


@asynccontextmanager
async def judging(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[ChatOf]:
    """Serve a scripted judge and give chats that reach it."""
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/chat/completions", handle)
    async with (
        serving(app) as url,
        open_role(RoleSpec("judge", "scripted", (url,))) as model,
    ):
        yield lambda key: RoleSession("judge", model, key, options=RoleOptions(deadline_s=30.0))
