"""Pages that attack: no step exceeds its deadline, nothing else is reached, the next episode is as ever."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from aiohttp import web
from contexts import task_context
from webarena_kit import Arena, entry, fence

from harness.types import Reply
from tasks._shared.browser import find_browser
from tasks.webarena.task import OWN_SPLIT, SPEC, TASK
from tasks.webarena.testsites import serve
from tasks.webarena.world import FIXTURE

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(290),
    pytest.mark.skipif(find_browser() is None and not os.environ.get("CI"), reason="no Chromium on PATH"),
]

ATTACKS = {
    "popups": "<button onclick=\"for (let i = 0; i < 1000; i++) window.open('/x' + i)\">go</button>",
    "dialogs": '<button onclick="while (true) alert(1)">go</button>',
    "loop": '<button onclick="while (true);">go</button>',
    "stay": '<button onclick="onbeforeunload = e => e.preventDefault()">go</button>',
    "download": '<a href="data:application/zip,x" download=x.zip>go</a>',
    "data": '<a href="data:text/html,<h1>evil</h1>">go</a>',
    "source": '<a href="view-source:OTHER/">go</a>',
    "redirect": '<a href="/hop?to=OTHER">go</a>',
    "refresh": '<meta http-equiv=refresh content="0; url=OTHER/meta"><button>go</button>',
    "form": "<form action=OTHER/form method=post><button>go</button></form>",
    "socket": "<button onclick=\"new WebSocket('OTHER/ws'.replace('http', 'ws'))\">go</button>",
    "worker": "<button onclick=\"navigator.serviceWorker.register('OTHER/sw.js')\">go</button>",
    "frame": '<iframe src="OTHER/frame"></iframe><img src="OTHER/image"><button>go</button>',
    "large": "<button onclick=\"document.body.append('x'.repeat(5e7))\">go</button>",
    "deep": (
        '<button onclick="for (let i = 0; i < 200000; i++)'
        " document.body.append(document.createElement('p'))\">go</button>"
    ),
}


class Hostile:
    """The own sites with the attacks among the shop's pages, and another server on the same host."""

    def __init__(self, arena: Arena, where: str, asked: list[str]) -> None:
        self.arena, self.where, self.asked = arena, where, asked


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hostile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hostile]:
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text="reached")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", note)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    other = f"http://127.0.0.1:{runner.addresses[0][1]}"
    routes = web.RouteTableDef()

    @routes.get("/attack/{name}")
    async def attack(request: web.Request) -> web.Response:
        there = other.replace("127.0.0.1", request.query["host"])
        body = ATTACKS[request.match_info["name"]].replace("OTHER", there)
        return web.Response(text=f"<title>attack</title>{body}", content_type="text/html")

    @routes.get("/hop")
    async def hop(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"{request.query['to']}/hopped"})

    ctx = task_context(TASK, FIXTURE, tmp_path_factory.mktemp("hostile"), source="fixture")
    ctx = replace(ctx, split=OWN_SPLIT)
    original = serve.ROUTES["shopping"]
    serve.ROUTES["shopping"] = [*original, *routes]
    try:
        async with TASK.world(ctx) as world:
            arena = Arena(ctx, world, {one.id: one for one in TASK.samples(ctx)})
            yield Hostile(arena, world.kit.sites.real["shopping"], asked)
    finally:
        serve.ROUTES["shopping"] = original
        await runner.cleanup()


SLOW = ("popups", "dialogs", "loop", "large", "deep")
"""Attacks on time itself: each is ended by a deadline of some seconds."""


OUTSIDE = [name for name, body in ATTACKS.items() if "OTHER" in body]
"""Attacks that want to reach something: another port of the shop's host, and another host."""

EACH = [pytest.param(name, "127.0.0.1", marks=[pytest.mark.full] * (name in SLOW)) for name in ATTACKS]
EACH += [pytest.param(name, "localhost") for name in OUTSIDE]


@pytest.mark.parametrize(("name", "host"), EACH)
async def test_an_attack_ends_in_time_and_reaches_nothing(hostile: Hostile, name: str, host: str) -> None:
    page = f"{hostile.where}/attack/{name}?host={host}"
    role = "link" if ATTACKS[name].startswith("<a ") else "button"
    episode = await hostile.arena.world.episode(hostile.arena.sample(entry(page)), {}, 0)
    try:
        shown = await asyncio.wait_for(episode.reset(), SPEC.limits.reset_s)
        found = re.findall(rf"\[(\d+)\] {role} 'go'", shown.messages[-1].content)
        actions = [f"click [{found[0] if found else 0}]", f"goto [{hostile.where}/]", "stop []"]
        for action in actions:
            began = time.monotonic()
            shown = await episode.step(Reply(fence(action)))
            assert time.monotonic() - began < SPEC.limits.step_s
            if action.startswith("goto"):
                assert "Corner Shop" in shown.messages[-1].content
        assert found or name == "refresh", "the attack was carried out"
        await episode.score()
    finally:
        await episode.close()
    assert hostile.asked == []


async def test_the_next_episode_plays_as_ever(hostile: Hostile) -> None:
    assert (await hostile.arena.play(hostile.arena.samples["0"])).value == 1.0


async def test_addresses_that_are_no_sites_are_refused(hostile: Hostile) -> None:
    replies = [
        fence(f"goto [{url}]")
        for url in (
            "data:text/html,x",
            f"view-source:{hostile.where}/",
            "file:///etc/passwd",
            "http://127.0.0.1:1/",
        )
    ]
    played = await hostile.arena.play(hostile.arena.samples["0"], [*replies, fence("stop [$34.50]")])
    assert played.value == 1.0 and played.episode.failed == 4
    assert hostile.asked == []
