"""One pooled aiohttp session; what goes wrong on the way becomes a `Fault`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from harness.errors import UsageError
from harness.models.faults import Fault, classify
from harness.models.wire import Answer, Stream, cut, read_generate

_CONNECT_S = 5.0
_QUEUE_ALLOWANCE_S = 30.0
_JSON = {"Content-Type": "application/json"}


class Transport:
    """Carries every request of a pool over one session.

    Leaving a request early, by cancellation or a stop string, closes its connection; TGI then
    drops the request.
    """

    def __init__(self, *, limit: int, token: str = "", read_s: float | None = None) -> None:
        connector = aiohttp.TCPConnector(limit=limit, keepalive_timeout=75)
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        self._session = aiohttp.ClientSession(connector=connector, headers=sent)
        self._read_s = read_s
        self._token = token.encode()

    def _redacted(self, body: bytes) -> bytes:
        """Take the API key out of what a server says; some repeat it in their refusals."""
        return body.replace(self._token, b"[API key]") if self._token else body

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, max_new_tokens: int = 0
    ) -> tuple[bytes, Mapping[str, str]]:
        """Post JSON; returns the body and headers of a 200."""
        async with self._send(url, body, headers, max_new_tokens) as response:
            return await response.read(), response.headers

    async def get(self, url: str, *, timeout_s: float = _CONNECT_S) -> tuple[int, bytes]:
        """Get a page; returns status and body whatever the status is.

        Raises:
            Fault: no answer within the time.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        with _faults(url, timeout_s):
            async with self._session.get(url, timeout=timeout, allow_redirects=False) as response:
                return response.status, await response.read()

    async def stream(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        max_new_tokens: int,
        stops: tuple[str, ...] = (),
    ) -> Answer:
        """Post JSON and follow the event stream; leaves early once a stop string is in the text."""
        async with self._send(url, body, headers, max_new_tokens) as response:
            if response.content_type != "text/event-stream":  # a proxy's page, or a server that cannot stream
                return read_generate(await response.read(), response.headers, where=url)
            following = Stream(response.headers, where=url)
            async for chunk in response.content.iter_any():
                if (answer := following.feed(chunk)) is not None:
                    return answer
                text, stopped = cut(following.partial, stops)
                # A replacement character may be half of a real one: only the last event knows.
                if stopped and "\ufffd" not in text:
                    response.close()
                    return Answer(text, "stop_sequence", output_tokens=following.tokens)
            try:
                if (answer := following.feed(b"\n")) is not None:  # the last line may lack its end
                    return answer
            except Fault as fault:
                if fault.kind != "not-json":
                    raise
                raise Fault("cut", f"{url} ended the stream in the middle of an event") from fault
        raise Fault("cut", f"{url} ended the stream before its last event")

    @asynccontextmanager
    async def _send(
        self, url: str, body: bytes, headers: Mapping[str, str], max_new_tokens: int
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        read_s = self._read_s or max(60.0, max_new_tokens * 0.25 + _QUEUE_ALLOWANCE_S)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=read_s)
        with _faults(url, read_s):
            async with self._session.post(
                url, data=body, headers={**_JSON, **headers}, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise classify(response.status, self._redacted(await response.read()), where=url)
                yield response


class _faults:
    """Turns aiohttp's exceptions into `Fault`; a context manager cheaper than a generator's."""

    def __init__(self, url: str, waited_s: float) -> None:
        self._url = url
        self._waited_s = waited_s

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, TimeoutError):
            raise Fault("timeout", f"{self._url} sent nothing for {self._waited_s:g} s") from error
        if isinstance(error, aiohttp.InvalidURL):
            raise UsageError(f"{self._url} is not a URL; give --endpoint http://host:port") from error
        if isinstance(error, aiohttp.ClientConnectorError):
            raise Fault("connection", f"{self._url}: cannot connect to {error.host}:{error.port}") from error
        if isinstance(error, aiohttp.ClientError | OSError):
            raise Fault("connection", f"{self._url}: {type(error).__name__}: {error}") from error
