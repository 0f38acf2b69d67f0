"""Each way in which a real deployment's sites are restored, and what an attempt is told of it.

The images and their servers cannot run here. `Deployment` is a fake of both servers that reset sites: it
speaks their protocols over real sockets, and restores the own sites, which stand at the real ones' addresses.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from contexts import task_context
from loopback_server import serving
from processes import until_gone

from harness.errors import DataError, EnvironmentFault
from harness.types import Reply, Sample
from tasks._shared.browser import find_browser
from tasks.webarena import config, restore, rows
from tasks.webarena.config import ArenaConfig
from tasks.webarena.prompts import WebArenaPrompts
from tasks.webarena.restore import Restorer
from tasks.webarena.sites import SITES, SiteMap
from tasks.webarena.task import TASK
from tasks.webarena.testsites.serve import OwnSites, open_sites
from tasks.webarena.world import FIXTURE, ArenaWorld

pytestmark = pytest.mark.timeout(120)
FREE = SiteMap({})


@dataclass
class Deployment:
    """The images' control server (`POST /reset`, `GET /health`) and the reset server of all sites.

    The latter has `GET /reset`, which answers 418 while a reset is under way, and `GET /status`.

    Attributes:
        slow: how often a server says that it is not ready yet.
        asked: the requests, in order.
    """

    sites: OwnSites | None = None
    slow: int = 2
    asked: list[str] = field(default_factory=list[str])
    left: int = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[tuple[str, str]]:
        """Yields the addresses of the control server and of the reset server."""
        control, full = web.Application(), web.Application()
        control.add_routes([web.post("/reset", self.reset), web.get("/health", self.health)])
        full.add_routes([web.get("/reset", self.reset_all), web.get("/status", self.status)])
        async with serving(control) as one, serving(full) as all_sites:
            yield one, all_sites

    def begin(self, request: web.Request) -> None:
        self.asked.append(f"{request.method} {request.path}")
        self.left = self.slow
        if self.sites is not None:
            self.sites.book.reset()

    def ready(self, request: web.Request) -> bool:
        self.asked.append(f"{request.method} {request.path}")
        self.left -= 1
        return self.left < 0

    async def reset(self, request: web.Request) -> web.Response:
        self.begin(request)
        return web.json_response({"status": "started"}, status=202)

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({}, status=200 if self.ready(request) else 503)

    async def reset_all(self, request: web.Request) -> web.Response:
        if self.left > 0:
            return web.Response(text="Reset already running", status=418)
        self.begin(request)
        return web.Response(text="Reset initiated")

    async def status(self, request: web.Request) -> web.Response:
        return web.Response(text="Ready for duty!" if self.ready(request) else "Reset in progress...")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers are asked again sooner than real ones, whose resets take minutes."""
    monkeypatch.setattr(restore, "POLL_S", 0.01)


def restorer(busy: bool = False, **ways: str | dict[str, str]) -> Restorer:
    return Restorer(ArenaConfig(FREE, **ways), lambda: busy)  # type: ignore[arg-type]


async def test_a_control_server_is_told_and_waited_for() -> None:
    fake = Deployment()
    async with fake.serve() as (control, _):
        told = await restorer(control={"shopping": control}).restore(["shopping", "reddit"])
    assert fake.asked == ["POST /reset", *["GET /health"] * 3]
    assert (
        told == "shopping restored by its control server; reddit not restored: webarena.toml names no way to"
    )


async def test_the_reset_server_restores_all_sites_once_even_when_two_ask() -> None:
    fake = Deployment(slow=5)
    async with fake.serve() as (_, full):
        both = [restorer(full_reset=full).restore(["shopping"]) for _ in range(2)]
        assert await asyncio.gather(*both) == ["all sites restored by the reset server"] * 2
    assert fake.asked.count("GET /reset") == 1


async def test_the_reset_server_is_left_alone_while_others_play() -> None:
    fake = Deployment()
    async with fake.serve() as (_, full):
        told = await restorer(busy=True, full_reset=full).restore(["shopping", "gitlab"])
    assert "shopping, gitlab not restored" in told and fake.asked == []


async def test_a_server_that_refuses_or_never_gets_ready_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Deployment().serve() as (control, full):
        with pytest.raises(EnvironmentFault, match="/reset answered 405"):
            await restorer(full_reset=control).restore(["shopping"])
        with pytest.raises(EnvironmentFault, match="/reset answered 405"):
            await restorer(control={"shopping": full}).restore(["shopping"])
    with pytest.raises(EnvironmentFault, match="answered nothing"):
        await restorer(full_reset=full).restore(["shopping"])
    monkeypatch.setattr(restore, "RESET_S", 0.3)
    async with Deployment(slow=10**9).serve() as (_, full):
        with pytest.raises(EnvironmentFault, match=r"not ready after 0\.3 s; it said 200: Reset in progress"):
            await restorer(full_reset=full).restore(["shopping"])


def script(text: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(text)} {{site}}"


async def test_a_command_is_run_for_each_site_before_any_other_way(tmp_path: Path) -> None:
    line = script(f"import sys; open({str(tmp_path / 'log')!r}, 'a').write(sys.argv[1] + ' ')")
    fake = Deployment()
    async with fake.serve() as (control, full):
        ways = restorer(reset_cmd=line, control={"shopping": control}, full_reset=full)
        told = await ways.restore(["shopping", "reddit"])
    assert told == "shopping restored by reset_cmd; reddit restored by reset_cmd"
    assert (tmp_path / "log").read_text() == "shopping reddit " and fake.asked == []


async def test_a_command_that_fails_is_a_fault_with_its_last_words() -> None:
    with pytest.raises(EnvironmentFault, match="ended with 3: no such container"):
        text = "import sys; print('no such container', file=sys.stderr); sys.exit(3)"
        await restorer(reset_cmd=script(text)).restore(["shopping"])
    with pytest.raises(EnvironmentFault, match=r"cannot be started .*webarena\.toml"):
        await restorer(reset_cmd="/no/such/program {site}").restore(["shopping"])


async def test_a_command_that_hangs_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, pids = "import time; time.sleep(600)", tmp_path / "pids"
    text = (
        "import os, pathlib, subprocess, sys, time; "
        f"found = subprocess.Popen([sys.executable, '-c', {child!r}]); "
        f"made = pathlib.Path({str(pids)!r} + '.new'); made.write_text(f'{{os.getpid()}} {{found.pid}}'); "
        f"made.rename({str(pids)!r}); time.sleep(600)"
    )
    # Braces of the program are no place for a site.
    running = asyncio.ensure_future(restorer(reset_cmd=script(text)).restore(["shopping"]))
    async with asyncio.timeout(60):
        while not pids.exists():  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until_gone(*map(int, pids.read_text().split()), within_s=30)
    monkeypatch.setattr(restore, "RESET_S", 0.2)
    with pytest.raises(EnvironmentFault, match=r"took over 0\.2 s"):
        await restorer(reset_cmd=script(child)).restore(["shopping"])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("reset_cmd = 5", "reset_cmd must be a command"),
        ('reset_cmd = "reset \'{site}"', "reset_cmd must be a command"),
        ('reset_cmd = ""', "reset_cmd must be a command"),
        ('full_reset = "reset.example:80"', "full_reset is 'reset.example:80', which is no http address"),
        ('allow = ["tiles"]', "allow is 'tiles', which is no http address"),
        ('control = { shopping = "7771" }', r"control\.shopping is '7771', which is no http address"),
        ('control = { shop = "http://h:1" }', "unknown key 'shop'"),
    ],
)
def test_a_way_that_could_only_fail_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, told: str
) -> None:
    lines = [line, "[sites]", *(f'{site} = "http://h:{n + 1}"' for n, site in enumerate(SITES))]
    (tmp_path / config.FILE).write_text("\n".join(lines))
    monkeypatch.delenv(config.NAMED, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=told):
        config.load()


async def order(world: ArenaWorld, sample: Sample) -> None:
    """Play until the site was written to, then lose the browser."""
    book_review, episode = TASK.oracle(None, sample), await world.episode(sample, {}, 0)  # type: ignore[arg-type]
    try:
        shown = await episode.reset()
        for _ in range(5):
            shown = await episode.step(Reply(await book_review.reply(shown)))
        for pid in world.kit.pool.pids():
            os.kill(pid, 9)
        with pytest.raises(EnvironmentFault):
            await episode.step(Reply("```scroll [down]```"))
    finally:
        await episode.close()


@pytest.mark.skipif(find_browser() is None and not os.environ.get("CI"), reason="no Chromium on PATH")
@pytest.mark.parametrize("way", ["control", "full_reset", "reset_cmd", "none"])
async def test_what_a_broken_attempt_wrote_is_gone_before_the_next_or_it_says_that_it_is_not(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(config.NAMED, raising=False)
    data = mirror / "webarena"
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(open_sites(WebArenaPrompts(data).accounts))
        control, full = await stack.enter_async_context(Deployment(served).serve())
        # The command posts to the own site that it is told the name of, as `curl` would.
        curl = "import urllib.request as u; u.urlopen(u.Request('%s/__reset', b''))"
        lines = {
            "control": f'control = {{ shopping = "{control}" }}',
            "full_reset": f'full_reset = "{full}"',
            "reset_cmd": f"reset_cmd = '''{script(curl % served.sites.real['shopping'])}'''",
            "none": "",
        }
        sites = [f'{site} = "{served.sites.real[site]}"' for site in SITES]
        (tmp_path / config.FILE).write_text("\n".join([lines[way], "[sites]", *sites]))
        (row,) = (one for one in rows.read(FIXTURE / rows.OWN, served.sites.filled) if one.id == 8)
        sample = Sample("8", {"row": row}, locks=("site:shop",))
        async with TASK.world(task_context(TASK, data, tmp_path)) as world:
            assert "had not acted" not in await world.restore(sample), "another process may have played it"
            before = served.book.resets
            await order(world, sample)
            assert served.book.of({}).writes == 1, "the write is there once"
            told = await world.restore(sample)
            assert served.book.of({}).writes == (1 if way == "none" else 0)
            assert ("not restored" in told) == (way == "none")
            assert served.book.resets - before == (0 if way == "none" else 1)


@pytest.mark.skipif(find_browser() is None and not os.environ.get("CI"), reason="no Chromium on PATH")
async def test_what_needs_no_restoring_is_left_alone_and_told(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(config.NAMED, raising=False)
    data, log = mirror / "webarena", tmp_path / "log"
    line = script(f"open({str(log)!r}, 'a').write('x')")
    sites = [f'{site} = "http://127.0.0.1:{n + 1}"' for n, site in enumerate(SITES)]
    (tmp_path / config.FILE).write_text("\n".join([f"reset_cmd = '''{line}'''", "[sites]", *sites]))
    ctx = task_context(TASK, data, tmp_path)
    samples = TASK.samples(ctx)
    async with TASK.world(ctx) as world:
        writer = next(one for one in samples if one.locks)
        assert "reads" in await world.restore(samples[0])
        assert "keeps what visitors do" in await world.restore(samples[7]), "a map"
        await world.episode(writer, {}, 0)
        assert "had not acted" in await world.restore(writer)
        assert not log.exists()
        world.acted(writer.id, "")
        assert "restored by reset_cmd" in await world.restore(writer)
        assert log.exists()
