"""Opens HTTP requests: connections are kept and used again, through the proxy that the environment names."""

from __future__ import annotations

import socket
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp

from harness.models import outside
from harness.models.network import Proxy, proxy_for, trusted

KEEPALIVE_S = 75


@dataclass(slots=True)
class _Sent:
    """What is known of a request's connection: whether it was made for it, or had carried another before."""

    made: bool = False


_SENT: ContextVar[_Sent] = ContextVar("sent")
"""The request that this task sends; aiohttp's own tracing would tell the same at twice a request's cost."""


class Sessions:
    """Two pools of connections: one whose connections are kept, and one that makes a new one each time.

    A server may close a kept connection at the very moment at which a request is written to it. That says
    nothing about the server, so the request is sent once more over a new connection.

    Args:
        limit: most connections; 0 for any number.
        token: sent to every server as a bearer token; empty sends none.
    """

    def __init__(self, *, limit: int, token: str) -> None:
        outside.register(token)
        certificates = trusted()
        kept = aiohttp.TCPConnector(
            limit=limit, keepalive_timeout=KEEPALIVE_S, ssl=certificates, socket_factory=_made
        )
        fresh = aiohttp.TCPConnector(limit=limit, force_close=True, ssl=certificates)
        common: dict[str, Any] = {
            "headers": {"Authorization": f"Bearer {token}"} if token else {},
            "cookie_jar": aiohttp.DummyCookieJar(),
        }
        self._kept = aiohttp.ClientSession(connector=kept, **common)
        self._fresh = aiohttp.ClientSession(connector=fresh, **common)
        self._proxies: dict[str, Proxy | None] = {}

    async def close(self) -> None:
        """Close every connection."""
        await self._kept.close()
        await self._fresh.close()

    def proxy(self, url: str) -> Proxy | None:
        """Find the proxy that carries requests to a URL; None when there is none."""
        if url not in self._proxies:
            self._proxies[url] = proxy_for(url)
        return self._proxies[url]

    async def open(self, method: str, url: str, **more: Any) -> aiohttp.ClientResponse:
        """Send a request; gives the response once its head is there. Redirects are not followed."""
        self._route(url, more)
        sent = _Sent()
        _SENT.set(sent)
        try:
            return await self._kept.request(method, url, **more)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError):
            if sent.made:
                raise
        return await self._fresh.request(method, url, **more)

    def _route(self, url: str, more: dict[str, Any]) -> None:
        """Send a request as it is asked for, through the proxy if there is one."""
        more["allow_redirects"] = False
        if (proxy := self.proxy(url)) is None:
            return
        more["proxy"] = proxy.url
        if proxy.user:
            named = {"Proxy-Authorization": aiohttp.encode_basic_auth(proxy.user, proxy.password)}
            if url.startswith("https:"):  # the proxy sees only the request for a connection
                more["proxy_headers"] = named
            else:
                more["headers"] = {**more.get("headers", {}), **named}


def _made(address: tuple[Any, ...]) -> socket.socket:
    """Make the socket of a new connection, and note it of the request that it is made for."""
    _SENT.get().made = True
    return socket.socket(*address[:3])  # family, type, protocol
