"""A MediaWiki, a Serper and a WolframAlpha in their protocols' true shapes, on loopback."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class FakeWiki:
    """Answers `api.php` for a handful of pages.

    `pages` maps a title to its text, `redirects` a title to another, `ambiguous` holds disambiguation
    pages, `listed` titles that search finds but that do not exist. `trouble` is served first, in order.
    """

    pages: dict[str, str] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    ambiguous: set[str] = field(default_factory=set)
    listed: tuple[str, ...] = ()
    suggestions: dict[str, str] = field(default_factory=dict)
    trouble: list[web.Response | Callable[[], web.Response]] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)
    agents: Counter[str] = field(default_factory=Counter)
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        params = dict(request.query)
        self.seen.append(params)
        self.agents[request.headers.get("User-Agent", "")] += 1
        if self.trouble:
            trouble = self.trouble.pop(0)
            return trouble() if callable(trouble) else trouble
        if params.get("format") != "json" or params.get("action") != "query":
            return web.Response(status=400, text="only queries are faked")
        if params.get("list") == "search":
            return web.json_response(self._search(params))
        if params.get("prop") == "info|pageprops":
            return web.json_response(self._info(params["titles"], follow="redirects" in params))
        if params.get("prop") == "extracts|revisions":
            return web.json_response(self._extract(params["titles"]))
        return web.Response(status=400, text="unknown query")

    def _search(self, params: dict[str, str]) -> dict[str, Any]:
        term = params["srsearch"]
        if len(term) > 300:
            return error("cirrussearch-query-too-long", "Search request is longer than the maximum")
        known = [*self.pages, *self.redirects, *sorted(self.ambiguous), *self.listed]
        words = term.casefold().split()
        hits = [title for title in known if any(word in title.casefold() for word in words)]
        hits.sort(key=lambda title: (title.casefold() != term.casefold(), title not in self.listed, title))
        info: dict[str, Any] = {}
        if "srinfo" in params and term in self.suggestions:
            info = {"suggestion": self.suggestions[term], "suggestionsnippet": "<em>?</em>"}
        found = [
            {"ns": 0, "title": title, "pageid": ident(title)} for title in hits[: int(params["srlimit"])]
        ]
        return {"batchcomplete": "", "query": {"searchinfo": info, "search": found}}

    def _info(self, title: str, *, follow: bool) -> dict[str, Any]:
        query: dict[str, Any] = {}
        if follow and title in self.redirects:
            query["redirects"] = [{"from": title, "to": self.redirects[title]}]
            title = self.redirects[title]
        if "<" in title:
            page = {"title": title, "invalidreason": "bad character", "invalid": ""}
            return {"batchcomplete": "", "query": {**query, "pages": {"-1": page}}}
        if title not in self.pages and title not in self.ambiguous and title not in self.redirects:
            page = {"ns": 0, "title": title, "missing": ""}
            return {"batchcomplete": "", "query": {**query, "pages": {"-1": page}}}
        page = {"pageid": ident(title), "ns": 0, "title": title, "fullurl": f"{self.url}?title={title}"}
        if title in self.ambiguous:
            page["pageprops"] = {"disambiguation": ""}
        return {"batchcomplete": "", "query": {**query, "pages": {str(ident(title)): page}}}

    def _extract(self, title: str) -> dict[str, Any]:
        page = {
            "pageid": ident(title),
            "ns": 0,
            "title": title,
            "extract": self.pages[title],
            "revisions": [{"revid": 7000 + ident(title), "parentid": 0}],
        }
        return {"batchcomplete": "", "query": {"pages": {str(ident(title)): page}}}


def ident(title: str) -> int:
    return 100 + sum(title.encode()) % 900


def error(code: str, info: str) -> dict[str, Any]:
    return {"error": {"code": code, "info": info, "docref": "see api.php"}, "servedby": "fake"}


def maxlag() -> web.Response:
    body = error("maxlag", "Waiting for a database server: 6.1 seconds lagged.")
    return web.json_response(body, headers={"Retry-After": "0", "MediaWiki-API-Error": "maxlag"})


def too_many() -> web.Response:
    return web.Response(status=429, text="Too many requests", headers={"Retry-After": "0"})


@dataclass
class FakeSearch:
    """Serper's POST /search and WolframAlpha's GET /v2/query."""

    google: dict[str, dict[str, Any]] = field(default_factory=dict)
    wolfram: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    trouble: list[Callable[[], web.Response]] = field(default_factory=list)

    async def serper(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.seen.append(("google", body["q"]))
        self.bodies.append(body)
        if self.trouble:
            return self.trouble.pop(0)()
        if request.headers.get("X-API-KEY") != "serper-key":
            return web.json_response({"message": "Unauthorized.", "statusCode": 403}, status=403)
        return web.json_response(self.google.get(body["q"], {"organic": []}))

    async def wolfram_query(self, request: web.Request) -> web.Response:
        text = request.query["input"]
        self.seen.append(("wolfram", text))
        if self.trouble:
            return self.trouble.pop(0)()
        if request.query.get("appid") != "wolfram-key":
            wrong = "<error><code>1</code><msg>Invalid appid</msg></error>"
            return xml(f'<queryresult success="false" error="true">{wrong}</queryresult>')
        if text not in self.wolfram:
            return xml('<queryresult success="false" error="false" numpods="0"></queryresult>')
        return xml(
            '<queryresult success="true" error="false" numpods="2">'
            + pod("Input interpretation", text)
            + pod("Result", self.wolfram[text], primary=True)
            + "</queryresult>"
        )


def pod(title: str, text: str, *, primary: bool = False) -> str:
    mark = ' primary="true"' if primary else ""
    return (
        f"<pod title={quoteattr(title)} scanner='Solve' id='X' numsubpods='1'{mark}>"
        f"<subpod title=''><img src='x.gif'/><plaintext>{escape(text)}</plaintext></subpod></pod>"
    )


def xml(text: str) -> web.Response:
    return web.Response(
        text=f"<?xml version='1.0' encoding='UTF-8'?>{text}", content_type="text/xml", charset="utf-8"
    )


@asynccontextmanager
async def serve_wiki(wiki: FakeWiki) -> AsyncIterator[FakeWiki]:
    app = web.Application()
    app.router.add_get("/w/api.php", wiki.answer)
    async with TestServer(app) as server:
        wiki.url = str(server.make_url("/w/api.php"))
        yield wiki


@asynccontextmanager
async def serve_search(search: FakeSearch) -> AsyncIterator[tuple[str, str]]:
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/search", search.serper)
    app.router.add_get("/v2/query", search.wolfram_query)
    async with TestServer(app) as server:
        yield str(server.make_url("/search")), str(server.make_url("/v2/query"))
