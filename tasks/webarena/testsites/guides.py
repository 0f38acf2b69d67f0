"""The sites that only answer: a wiki, a map, and the page that leads to all others."""

from __future__ import annotations

from html import escape

from aiohttp import web

from tasks.webarena.testsites.pages import ACCOUNTS, SITES, field, form, link, listed, page

wiki = web.RouteTableDef()
maps = web.RouteTableDef()
homepage = web.RouteTableDef()

ARTICLES = {
    "Sourdough": "Sourdough is bread raised by wild yeast. The oldest known loaf, found in Switzerland, "
    "was baked about 3700 BCE.",
    "Porto": "Porto is a city in Portugal on the river Douro. It has 231,800 inhabitants.",
    "Lighthouse": "A lighthouse guides ships. The Tower of Hercules in A Coruna still works today.",
}
PLACES = {
    "Harbour Museum": ("12 Quay Street", "52.10, 4.30"),
    "North Station": ("1 Railway Square", "52.13, 4.31"),
    "Botanical Garden": ("80 Hill Road", "52.15, 4.28"),
}
WALKS: dict[frozenset[str], str] = {frozenset(("Harbour Museum", "North Station")): "35 min"}


@wiki.get("/")
async def front(request: web.Request) -> web.Response:
    """All articles."""
    del request
    found = listed([link(f"/wiki/{title}", title) for title in ARTICLES])
    return page("Free encyclopedia", "<h1>Encyclopedia</h1>" + found)


@wiki.get("/wiki/{title}")
async def article(request: web.Request) -> web.Response:
    """One article."""
    title = request.match_info["title"]
    if title not in ARTICLES:
        return page("Not found", "<h1>There is no such article</h1>", status=404)
    return page(title, f"<h1>{escape(title)}</h1><p>{escape(ARTICLES[title])}</p>")


@maps.get("/")
async def world(request: web.Request) -> web.Response:
    """The search form and the one for a way."""
    del request
    search = form("/search", field("Search", "query"), "Go", "get")
    way = form("/directions", field("From", "from") + field("To", "to"), "Walk", "get")
    return page("Map", "<h1>Map</h1>" + search + way)


@maps.get("/search")
async def search(request: web.Request) -> web.Response:
    """Places whose names contain the query."""
    query = request.query.get("query", "")
    found = [name for name in PLACES if query.lower() in name.lower()]
    rows = listed([f"{escape(name)}, {PLACES[name][0]}, {PLACES[name][1]}" for name in found])
    return page("Search results", f'<h1>Search results</h1><div id="sidebar_content">{rows}</div>')


@maps.get("/directions")
async def directions(request: web.Request) -> web.Response:
    """How long a walk takes."""
    ends = frozenset((request.query.get("from", ""), request.query.get("to", "")))
    told = WALKS.get(ends, "No way was found.")
    return page("Directions", f"<h1>Directions</h1><p>Time: {told}</p>")


@homepage.get("/")
async def start(request: web.Request) -> web.Response:
    """Links to all sites."""
    sites = request.app[SITES].real
    rows = [link(address + "/", name) for name, address in sites.items() if name != "homepage"]
    return page("Homepage", "<h1>Websites</h1>" + listed(rows) + link("/password.html", "Passwords"))


@homepage.get("/password.html")
async def passwords(request: web.Request) -> web.Response:
    """The accounts of all sites."""
    accounts = request.app[ACCOUNTS].items()
    rows = [f"{name}: {escape(one['username'])} / {escape(one['password'])}" for name, one in accounts]
    return page("Passwords", "<h1>Passwords</h1>" + listed(rows))
