"""Sends requests over kept connections; what fails on the way becomes a `Fault`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

import aiohttp

from harness.errors import HarnessError, UsageError
from harness.models import outside
from harness.models.clients.answer import Answer
from harness.models.clients.broken import broken, unknown_to_proxy
from harness.models.clients.sessions import Sessions
from harness.models.clients.stream import Follow
from harness.models.pool.faults import Fault, classify
from harness.models.untrusted import Body

_CONNECT_S = 5.0
_QUEUE_ALLOWANCE_S = 30.0
_ERROR_S = 5.0
"""Seconds to read why a server refused; its status is known by then."""

MOST_BODY, MOST_PAGE, MOST_ERROR = 32 << 20, 2 << 20, 64 << 10
"""Bytes read of an answer, of what a server says of itself, and of an error; all after decompression."""

_LARGE = 1 << 20
"""Answers beyond this come one at a time from each server: many at once would fill the memory."""

_JSON = {"Content-Type": "application/json"}


class Transport:
    """Carries every request of a pool, and of everything else that asks a server for something.

    Leaving a request early, by cancellation or a stop string, closes its connection; TGI then
    drops the request.
    """

    def __init__(self, *, limit: int, token: str = "", read_s: float | None = None) -> None:
        self._sessions = Sessions(limit=limit, token=token)
        self._read_s = read_s
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def close(self) -> None:
        """Close every connection."""
        await self._sessions.close()

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, max_new_tokens: int = 0
    ) -> tuple[Body, Mapping[str, str]]:
        """Post JSON; returns the body and headers of a 200."""
        async with self._send(url, body, headers, max_new_tokens) as response:
            return await self._whole(response, url), response.headers

    async def get(self, url: str, *, timeout_s: float = _CONNECT_S) -> tuple[int, bytes]:
        """Get a page; returns status and body whatever the status is. The error is that of `page`."""
        status, body, _ = await self.page(url, timeout_s=timeout_s)
        return status, body

    async def page(self, url: str, *, timeout_s: float = _CONNECT_S) -> tuple[int, bytes, Mapping[str, str]]:
        """Get a page with its headers, whatever the status is.

        Raises:
            Fault: no answer within the time, or one longer than any page of a server's.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        with _Named(self._sessions, url, timeout_s):
            async with await self._sessions.open("GET", url, timeout=timeout) as response:
                _check_proxy(self._sessions, response, url)
                page = bytearray()
                async for chunk in response.content.iter_any():
                    page += chunk
                    if len(page) > MOST_PAGE:
                        response.close()
                        raise _too_large(url, MOST_PAGE)
                return response.status, outside.received(bytes(page)), response.headers

    async def stream(
        self, url: str, body: bytes, headers: Mapping[str, str], follow: Follow, *, max_new_tokens: int
    ) -> Answer:
        """Post JSON and follow the event stream; leaves as soon as `follow` has the answer."""
        async with self._send(url, body, headers, max_new_tokens) as response:
            following = follow(response.headers)
            if response.content_type != "text/event-stream":
                return following.whole(await self._whole(response, url))
            size = 0
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > MOST_BODY:
                    raise _too_large(url, MOST_BODY)
                if (answer := following.feed(chunk)) is not None:
                    response.close()
                    return answer
            try:
                if (answer := following.end()) is not None:
                    return answer
            except Fault as fault:
                if fault.kind != "not-json":
                    raise
                raise Fault("cut", f"{url} ended the stream in the middle of an event") from fault
        raise Fault("cut", f"{url} ended the stream before its last event")

    async def _whole(self, response: aiohttp.ClientResponse, url: str) -> Body:
        """Read a body within its bound; aiohttp hands it on decompressed, in pieces of bounded size."""
        first = await response.content.readany()
        if response.content.at_eof():
            return outside.received(first)
        body = bytearray(first)
        while len(body) <= _LARGE:
            if not (chunk := await response.content.readany()):
                return outside.received(bytes(body))
            body += chunk
        async with self._turns[url]:
            while chunk := await response.content.readany():
                body += chunk
                if len(body) > MOST_BODY:
                    raise _too_large(url, MOST_BODY)
        return outside.received(body)

    def _send(self, url: str, body: bytes, headers: Mapping[str, str], max_new_tokens: int) -> _Posted:
        read_s = self._read_s or max(60.0, max_new_tokens * 0.25 + _QUEUE_ALLOWANCE_S)
        return _Posted(self._sessions, url, body, {**_JSON, **headers}, read_s)


def _check_proxy(sessions: Sessions, response: aiohttp.ClientResponse, url: str) -> None:
    """Raise when the answer is a proxy's, which does not know who asks."""
    if response.status == 407 and (proxy := sessions.proxy(url)) is not None:
        raise unknown_to_proxy(proxy)


@lru_cache(maxsize=64)
def _timeout(read_s: float) -> aiohttp.ClientTimeout:
    """The bounds of one request that may be silent for so long."""
    return aiohttp.ClientTimeout(
        total=2 * read_s + _QUEUE_ALLOWANCE_S, sock_connect=_CONNECT_S, sock_read=read_s
    )


async def _reason(response: aiohttp.ClientResponse) -> bytes:
    """Read why a server refused, within bounds of time and size."""
    body = bytearray()
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(_ERROR_S):
            while len(body) < MOST_ERROR and (chunk := await response.content.readany()):
                body += chunk
    if not response.content.at_eof():
        response.close()
    return outside.received(bytes(body))[:MOST_ERROR]


def _too_large(url: str, most: int) -> Fault:
    return Fault("too-large", f"{url} sent more than {most >> 20} MB")


class _Named:
    """Turns aiohttp's exceptions into `Fault`; a context manager cheaper than a generator's."""

    def __init__(self, sessions: Sessions, url: str, waited_s: float) -> None:
        self._sessions, self._url, self._waited_s = sessions, url, waited_s

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, Exception) or isinstance(error, Fault | HarnessError):
            return
        if isinstance(error, aiohttp.InvalidURL):
            raise UsageError(f"{self._url} is not a URL; give --endpoint http://host:port") from None
        proxy = self._sessions.proxy(self._url)
        raise broken(error, self._url, waited_s=self._waited_s, proxy=proxy) from error


class _Posted:
    """A request whose response is a 200 within the block; what goes wrong there closes its connection."""

    def __init__(
        self, sessions: Sessions, url: str, body: bytes, headers: Mapping[str, str], read_s: float
    ) -> None:
        self._sessions, self._url, self._body, self._headers = sessions, url, body, headers
        self._read_s = read_s
        self._named = _Named(sessions, url, read_s)
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> aiohttp.ClientResponse:
        with self._named:
            response = self._response = await self._sessions.open(
                "POST", self._url, data=self._body, headers=self._headers, timeout=_timeout(self._read_s)
            )
            try:
                _check_proxy(self._sessions, response, self._url)
                if response.status != 200:
                    raise classify(response.status, await _reason(response), where=self._url)
            except BaseException as error:
                await self._leave(response, error)
                raise
            return response

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        with self._named:
            if self._response is not None:
                await self._leave(self._response, error)
        self._named.__exit__(kind, error, trace)

    async def _leave(self, response: aiohttp.ClientResponse, error: BaseException | None) -> None:
        if error is None:
            response.release()
        else:
            response.close()  # what follows on this connection may belong to this answer
        await response.wait_for_close()
