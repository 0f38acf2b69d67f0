"""Serves the pages of a run to a browser on this machine, read-only."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import secrets
import socket
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, UsageError
from harness.models import outside
from harness.view.library import Library
from harness.view.texts import json_bytes

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)

PAGES = Path(__file__).parent / "pages"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
LOCAL = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pages are served.

    Attributes:
        host: address or name of the interface.
        port: 0 takes a free one.
        token: what the address must begin with.
    """

    host: str = LOCAL
    port: int = 0
    token: str = field(default_factory=lambda: secrets.token_urlsafe(18))


@asynccontextmanager
async def serving(paths: list[Path], place: Place) -> AsyncGenerator[str]:
    """Serve one or two runs while the block is entered; gives the address.

    Args:
        paths: of the stores.
        place: where.

    Raises:
        StoreError: a store cannot be read.
        UsageError: the port is in use, or the host is not one of this machine.
    """
    from aiohttp import web

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "view") as thread:  # SQLite's connections stay in the thread that made them
        library = await loop.run_in_executor(thread, lambda: Library(*paths))
        runner = web.AppRunner(_application(library, place, thread), access_log=None, shutdown_timeout=1)
        try:
            await runner.setup()
            try:
                await web.TCPSite(runner, place.host, place.port).start()
            except (OSError, OverflowError) as error:
                raise UsageError(
                    f"cannot serve on {place.host}:{place.port}: {error}; give another --port or --host"
                ) from error
            port = runner.addresses[0][1]
            host = f"[{place.host}]" if ":" in place.host else place.host
            yield f"http://{host}:{port}/{place.token}/"
        finally:
            await runner.cleanup()
            await loop.run_in_executor(thread, library.close)


def _application(library: Library, place: Place, thread: ThreadPoolExecutor) -> web.Application:
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        if not _known_host(request.headers.get("Host", ""), place.host):
            return _refused(421, "unknown host: open the address that harness view printed")
        token, _, what = request.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), place.token.encode()):
            return _refused(403, "this address lacks the token: open the one that harness view printed")
        if request.method not in ("GET", "HEAD"):
            return _refused(405, "a run is only read")
        kind, slash, name = what.partition("/")
        if kind == "api" and slash:
            given = {key: value for key, value in request.query.items() if len(value) <= 2000}
            ask = library.answers.get(name)
            if ask is None:
                return _refused(404, f"there is no answer {name[:50]!r}")
            return await asyncio.get_running_loop().run_in_executor(thread, _answered, ask, given)
        return _page(what or "index.html")

    application = web.Application(client_max_size=1)
    application.router.add_route("*", "/{path:.*}", answer)
    return application


def _answered(ask: Callable[[dict[str, str]], Any], given: dict[str, str]) -> web.Response:
    """Answer from the store; what is wrong with the question is said in one line."""
    from aiohttp import web

    try:
        body = json_bytes(ask(given))
    except UsageError as error:
        return _refused(400, str(error))
    except HarnessError as error:
        return _refused(500, str(error))
    except Exception as error:  # a row that another program spoilt must not end the server
        log.debug("traceback", exc_info=error)
        return _refused(500, f"this part of the run cannot be read: {outside.line(repr(error))}")
    return web.Response(body=body, content_type="application/json", charset="utf-8", headers=HEADERS)


def _refused(status: int, why: str) -> web.Response:
    from aiohttp import web

    body = json_bytes({"error": why})
    return web.Response(status=status, body=body, content_type="application/json", headers=HEADERS)


def _page(name: str) -> web.Response:
    """A file of the pages; only files directly in their folder are served."""
    from aiohttp import web

    if name not in {path.name for path in PAGES.iterdir()}:
        return _refused(404, f"there is no page {name[:50]!r}")
    kind = TYPES.get(Path(name).suffix, "application/octet-stream")
    body = (PAGES / name).read_bytes()
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS)


def _known_host(header: str, served: str) -> bool:
    """Whether a request names this machine by an address or a name it has.

    A page of another site that has its own name point to this machine (DNS rebinding) sends that name.
    """
    host = header.rpartition(":")[0] if header.rpartition(":")[2].isdigit() else header
    host = host.strip("[]").lower()
    if host in ("localhost", served.lower()):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return served != LOCAL and host == socket.gethostname().lower()
    return address.is_loopback or served != LOCAL
