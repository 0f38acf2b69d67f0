"""HTTP requests of tools: limited in rate and time, and repeated; a failure is an infrastructure error."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

from harness.errors import InfraError, MissingPart
from tasks._shared.token_bucket import TokenBucket

if TYPE_CHECKING:
    import aiohttp

PROJECT = "agenttuning-harness/0.1"
LONGEST_WAIT = 60.0
"""Longest wait in seconds before one retry, whatever the server's Retry-After says."""

LONGEST_BODY = 64 << 20
"""Bytes of the longest answer that is read, after decompression."""

LONGEST_QUERY = 2000
"""Characters of the longest query string that `by_length` sends; some servers refuse longer addresses."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's final answer: its status, and the body as received."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Secrets belong in `headers` and `secrets`, which are in no cache and no snapshot.

    Attributes:
        service: its name, such as `wiki` or `google`; part of the recorded key.
        body: sent as JSON by POST.
        form: sent form-encoded by POST; not together with `body`.
        polite: parameters that do not change the answer (maxlag); not in the key either.
        secrets: query parameters that hold a key.
    """

    service: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    polite: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def question(self) -> Mapping[str, Any]:
        """What determines the answer and so names a record: service, address, parameters and body."""
        body = dict(self.body) if self.body is not None else None
        form = {} if self.form is None else {"form": dict(self.form)}
        return {"service": self.service, "url": self.url, "params": dict(self.params), "body": body, **form}


def by_length(request: Request) -> Request:
    """Send parameters as a form by POST where they make a long address; shorter ones stay with GET."""
    if len(urlencode(request.params)) <= LONGEST_QUERY:
        return request
    return replace(request, params={}, form=request.params)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The limits on requests to each service.

    Attributes:
        rate: requests per second, on average.
        burst: requests that may be sent at once after a pause.
        parallel: requests in flight.
        timeout_s: deadline of one request.
        tries: attempts before a request fails for good.
        first_wait_s: the first backoff; it doubles, with jitter.
    """

    rate: float = 5.0
    burst: int = 5
    parallel: int = 4
    timeout_s: float = 20.0
    tries: int = 5
    first_wait_s: float = 0.5


class Transient(Exception):
    """A request that may succeed when asked again, after `wait` seconds if the server said so."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Web:
    """One HTTP session with limits for each service; an async context manager."""

    def __init__(self, *, contact: str, limits: RequestLimits | None = None) -> None:
        self.limits = limits or RequestLimits()
        self.requests = 0
        self._agent = f"{PROJECT} ({contact})"
        self._session: aiohttp.ClientSession | None = None
        self._service_limits: dict[str, tuple[TokenBucket, asyncio.Semaphore]] = {}

    async def __aenter__(self) -> Self:
        import aiohttp

        if importlib.util.find_spec("stamina") is None:
            raise MissingPart("stamina is not installed: pip install 'agenttuning-harness[wiki]'")
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": self._agent},
            timeout=aiohttp.ClientTimeout(total=self.limits.timeout_s),
            trust_env=True,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(
        self,
        request: Request,
        *,
        transient: Callable[[Answer], str | None] = lambda answer: None,
        final: Callable[[Answer], bool] = lambda answer: False,
    ) -> Answer:
        """Send a request until its answer is final.

        Args:
            request: what to send.
            transient: the reason why an answer with a good status is not final (maxlag), or None.
            final: whether an answer of status 429 or from 500 on need not be asked for again.

        Raises:
            InfraError: no final answer within the allowed tries.
        """
        import stamina

        try:
            async for attempt in stamina.retry_context(
                on=_backoff,
                attempts=self.limits.tries,
                timeout=None,
                wait_initial=self.limits.first_wait_s,
                wait_max=LONGEST_WAIT,
                wait_jitter=self.limits.first_wait_s,
            ):
                with attempt:
                    answer, wait = await self._once(request)
                    if not final(answer):
                        _refuse_transient(answer, wait, transient)
                    return answer
        except Transient as error:
            raise InfraError(f"{request.service} at {request.url}: {error}") from error
        raise InfraError(f"{request.service} at {request.url}: no attempt was made")

    async def _once(self, request: Request) -> tuple[Answer, float | None]:
        """An answer, whatever its status, and the seconds that the server asks to wait."""
        import aiohttp

        if self._session is None:
            raise InfraError("the web session is closed")
        params = {**request.params, **request.polite, **request.secrets}
        bucket, slots = self._limits_of(request.service)
        await bucket.take()
        async with slots:
            self.requests += 1
            try:
                async with self._session.request(
                    "GET" if request.body is None and request.form is None else "POST",
                    request.url,
                    params=params,
                    json=request.body,
                    data=request.form,
                    headers=request.headers,
                ) as response:
                    answer = Answer(response.status, await _read(request, response))
                    wait = _retry_after(response.headers.get("Retry-After"))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise Transient(f"{type(error).__name__}: {error}") from error
        return answer, wait

    def _limits_of(self, service: str) -> tuple[TokenBucket, asyncio.Semaphore]:
        """The rate limit and the slots of one service."""
        if service not in self._service_limits:
            bucket = TokenBucket(self.limits.rate, self.limits.burst)
            self._service_limits[service] = bucket, asyncio.Semaphore(self.limits.parallel)
        return self._service_limits[service]


def _refuse_transient(answer: Answer, wait: float | None, transient: Callable[[Answer], str | None]) -> None:
    if answer.status == 429 or answer.status >= 500:
        raise Transient(f"HTTP {answer.status}", wait)
    if reason := transient(answer):
        raise Transient(reason, wait)


async def _read(request: Request, response: aiohttp.ClientResponse) -> bytes:
    """The body of an answer, of bounded length."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > LONGEST_BODY:
            raise InfraError(f"{request.service} at {request.url}: an answer of over {LONGEST_BODY} bytes")
        parts.append(part)
    return b"".join(parts)


def _backoff(error: Exception) -> bool | float:
    """Retry only what is transient, after the wait that the server asked for, if any."""
    if not isinstance(error, Transient):
        return False
    return True if error.wait is None else error.wait


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header; None, the usual backoff, for a date or anything else."""
    try:
        return min(max(float(value or ""), 0.0), LONGEST_WAIT)
    except ValueError:
        return None
