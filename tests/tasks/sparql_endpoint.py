"""A SPARQL endpoint of the tests' own: pyoxigraph behind aiohttp, in the protocol of SPARQL 1.1, on loopback.

It stands in for Freebase's server, which takes 100 GB. Each path is a graph of its own. `trouble` is served
first, in order; `most_rows` caps a result without a word, as Virtuoso does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pyoxigraph
from aiohttp import web
from aiohttp.test_utils import TestServer

JSON = "application/sparql-results+json"
Trouble = Callable[[web.Request], web.StreamResponse]


@dataclass
class SparqlEndpoint:
    graphs: Mapping[str, pyoxigraph.Store]
    most_rows: int | None = None
    trouble: list[Trouble] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    methods: Counter[str] = field(default_factory=Counter)
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        form = await request.post() if request.method == "POST" else request.query
        query = str(form["query"])
        self.queries.append(query)
        self.methods[request.method] += 1
        if self.trouble:
            return self.trouble.pop(0)(request)
        try:
            found = self.graphs[request.match_info["graph"]].query(query)
        except SyntaxError as error:
            return web.Response(status=400, text=f"Malformed query: {error}")
        assert JSON in request.headers["Accept"]
        content = found.serialize(format=pyoxigraph.QueryResultsFormat.JSON)
        if self.most_rows is not None:
            whole = json.loads(content)
            whole["results"]["bindings"] = whole["results"]["bindings"][: self.most_rows]
            content = json.dumps(whole).encode()
        return web.Response(body=content, content_type=JSON)


def status(code: int, text: str = "no") -> Trouble:
    return lambda request: web.Response(status=code, text=text, headers={"Retry-After": "0"})


def body(text: str) -> Trouble:
    return lambda request: web.Response(text=text, content_type=JSON)


def hung_up(request: web.Request) -> web.StreamResponse:
    """Promises more than it sends."""
    assert request.transport is not None
    request.transport.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"head"')
    request.transport.close()
    return web.Response()


@asynccontextmanager
async def serve_sparql(
    graphs: Mapping[str, pyoxigraph.Store], most_rows: int | None = None
) -> AsyncIterator[SparqlEndpoint]:
    endpoint = SparqlEndpoint(graphs, most_rows)
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{graph}/sparql", endpoint.answer)
    async with TestServer(app) as server:
        endpoint.url = str(server.make_url("/")).rstrip("/")
        yield endpoint
