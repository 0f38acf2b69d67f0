"""The doctor names each site that is gone, elsewhere, another one, or does not let its account in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from contexts import task_context
from loopback_server import serving

from tasks.webarena import config, doctor
from tasks.webarena.doctor import Accounts, Deployed
from tasks.webarena.form_login import login_form
from tasks.webarena.login import DOORS
from tasks.webarena.prompts import WebArenaPrompts
from tasks.webarena.sites import SITES
from tasks.webarena.task import TASK
from tasks.webarena.testsites.serve import OwnSites, open_sites

ACCOUNTS = {site: {"username": f"{site}@x.test", "password": f"of {site} &+"} for site in SITES}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine under load the own sites may take longer than real ones are given.

    Nor does the own site with a project's members call itself by that product's name.
    """
    monkeypatch.setattr(doctor, "LOOK_S", 60.0)
    monkeypatch.setitem(doctor.WORDS, "gitlab", "Projects")


@pytest_asyncio.fixture
async def own() -> AsyncIterator[OwnSites]:
    async with open_sites(ACCOUNTS) as served:
        yield served


def accounts(**changed: Mapping[str, str]) -> Accounts:
    return tuple((site, tuple(({**ACCOUNTS, **changed})[site].items())) for site in DOORS)


async def told(real: Mapping[str, str], edition: str = "other", known: Accounts = ()) -> dict[str, str]:
    """What is wrong, by site; asked from another thread, as these sites run in this one."""
    doctor.look_at_all.cache_clear()
    deployed = Deployed(tuple(real.items()), edition, known)
    found = await asyncio.to_thread(doctor.look_at_all, deployed, 0)
    assert list(found) == list(real)
    return {site: why for site, why in found.items() if why}


async def test_sites_that_are_well_and_let_their_accounts_in(own: OwnSites) -> None:
    assert await told(own.sites.real, known=accounts()) == {}
    assert own.book.of({}).writes == 0, "a look changes nothing"


@pytest.mark.parametrize("site", DOORS)
async def test_a_site_that_does_not_let_its_account_in_is_logged_out(own: OwnSites, site: str) -> None:
    wrong = accounts(**{site: ACCOUNTS[site] | {"password": "changed"}})
    found = await told(own.sites.real, known=wrong)
    assert list(found) == [site]
    assert f"is logged out: for the account {site}@x.test it does not let it in" in found[site]


async def test_each_fault_is_named_with_its_site(own: OwnSites) -> None:
    away = web.Application()
    away.add_routes([web.get("/", _sends_to(own.sites.real["map"]))])
    real = own.sites.real
    async with serving(away) as elsewhere:
        wrong = {
            "shopping": real["map"],  # has no login
            "shopping_admin": "http://127.0.0.1:9/admin",
            "reddit": f"{real['reddit']}/none",
            "gitlab": real["wikipedia"],
            "wikipedia": real["wikipedia"],
            "map": elsewhere,
            "homepage": real["homepage"],
        }
        found = await told(wrong, "2023", accounts())
    assert "is logged out" in found["shopping"] and "shows no login form" in found["shopping"]
    assert "does not answer" in found["shopping_admin"] and "ClientConnectorError" in found["shopping_admin"]
    assert "answers 404" in found["reddit"]
    assert "another site: its page lacks 'Projects'" in found["gitlab"]
    assert "another edition" in found["wikipedia"] and 'edition = "slim"' in found["wikipedia"]
    assert f"sends its visitors to {real['map'].removeprefix('http://')}" in found["map"]
    assert "homepage" not in found
    assert not any("\n" in why for why in found.values())


def _sends_to(place: str):
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": place})

    return answer


async def test_the_wiki_of_2023_is_known_by_a_page_of_it() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="Welcome")

    app = web.Application()
    app.add_routes([web.get("/", page), web.get(doctor.WIKI_OF_2023, page)])
    async with serving(app) as url:
        assert await told({"wikipedia": url}, "2023") == {}


async def test_sites_are_looked_at_together() -> None:
    """Each waits with its answer until all have been asked."""
    everybody = asyncio.Barrier(4)

    async def page(_: web.Request) -> web.Response:
        await everybody.wait()
        return web.Response(text="Projects, Log in, password")

    app = web.Application()
    app.add_routes([web.get("/", page)])
    async with serving(app) as url:
        assert await told(dict.fromkeys(("shopping", "shopping_admin", "reddit", "gitlab"), url)) == {}


async def test_a_site_that_sends_a_letter_at_a_time_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "LOOK_S", 1.0)
    ended = asyncio.Event()

    async def page(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b"x")
                await asyncio.sleep(0.05)
        finally:
            ended.set()

    app = web.Application()
    app.add_routes([web.get("/", page)])
    async with serving(app) as url:
        found = await told({"gitlab": url})
        await asyncio.wait_for(ended.wait(), 60)
    assert "does not answer within 1 s (TimeoutError)" in found["gitlab"]


async def test_the_task_needs_every_site(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `harness doctor webarena` asks: accounts from the data, addresses from the environment."""
    data = mirror / "webarena"
    monkeypatch.delenv(config.NAMED, raising=False)
    monkeypatch.chdir(tmp_path)
    doctor.look_at_all.cache_clear()
    async with open_sites(WebArenaPrompts(data).accounts) as served:
        for site, url in served.sites.real.items():
            monkeypatch.setenv(site.upper(), url)
        monkeypatch.setenv("REDDIT", "http://127.0.0.1:9")
        needs = [one for one in TASK.needs(task_context(TASK, data, tmp_path)) if "site " in one.name]
        found = await asyncio.to_thread(lambda: {one.name: one.missing() for one in needs})
    wrong = {name: why for name, why in found.items() if why}
    assert len(found) == 7 and list(wrong) == ["site reddit", "site wikipedia"]
    assert "does not answer" in wrong["site reddit"] and "another edition" in wrong["site wikipedia"]


def test_the_form_with_a_password_is_the_one() -> None:
    page = """<form action=/search><input name=q></form>
    <form method=post action="/enter?x=1&amp;y=2"><input type=hidden name=form_key value=k>
    <input name=login[username] type=email><input type=checkbox name=remember><input type=password name=pw>
    <input type=text name=code><input type=submit name=send></form><form><input type=password></form>"""
    form = login_form(page)
    assert form is not None and form.action == "/enter?x=1&y=2"
    assert (form.user, form.password) == ("login[username]", "pw")
    assert form.fields == {"form_key": "k", "login[username]": "", "pw": "", "code": ""}
    assert login_form("<form><input name=q></form><input type=password name=p") is None
