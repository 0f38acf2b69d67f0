"""Servers of tests' own on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

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
