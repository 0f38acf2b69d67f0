"""Starts the seven sites, each on a free port of loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from tasks.webarena.sites import SITES as SITE_NAMES
from tasks.webarena.sites import SiteMap
from tasks.webarena.testsites import forum, guides, offices, shop
from tasks.webarena.testsites.pages import ACCOUNT, ACCOUNTS, BOOK, NAME, SITES
from tasks.webarena.testsites.state import EPISODE, StateBook

ROUTES: dict[str, Iterable[web.AbstractRouteDef]] = {
    "shopping": shop.routes,
    "shopping_admin": offices.admin,
    "reddit": forum.routes,
    "gitlab": offices.gitlab,
    "wikipedia": guides.wiki,
    "map": guides.maps,
    "homepage": guides.homepage,
}
ADMIN_OF = {"shopping": "shopping_site_admin"}
"""Whose account opens a site's REST calls."""


@dataclass(frozen=True, slots=True)
class OwnSites:
    """The sites while they run."""

    sites: SiteMap
    book: StateBook


@asynccontextmanager
async def open_sites(
    accounts: Mapping[str, Mapping[str, str]], extra: Mapping[str, web.RouteTableDef] | None = None
) -> AsyncIterator[OwnSites]:
    """Run the sites.

    Args:
        accounts: user name and password of each site's account.
        extra: further routes by site, for tests.
    """
    book, real = StateBook(), dict[str, str]()
    sites = SiteMap(real)
    async with AsyncExitStack() as stack:
        for name in SITE_NAMES:
            account = dict(accounts.get(name, {"username": "", "password": ""}))
            owner = dict(accounts.get(ADMIN_OF.get(name, ""), {}))
            app = web.Application(client_max_size=1 << 20)
            app[BOOK], app[SITES], app[NAME], app[ACCOUNT] = book, sites, name, account | {"admin": owner}
            app[ACCOUNTS] = accounts
            app.add_routes(ROUTES[name])
            app.add_routes((extra or {}).get(name, web.RouteTableDef()))
            app.router.add_post("/__reset", _reset)
            real[name] = f"http://127.0.0.1:{await _started(app, stack)}"
        real["shopping_admin"] += "/admin"
        yield OwnSites(sites, book)


async def _started(app: web.Application, stack: AsyncExitStack) -> int:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return int(runner.addresses[0][1])


async def _reset(request: web.Request) -> web.Response:
    request.app[BOOK].reset(request.headers.get(EPISODE, ""))
    return web.json_response({"reset": True})
