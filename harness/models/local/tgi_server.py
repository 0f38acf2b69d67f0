"""TGI's routes in front of a local model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from harness.errors import UsageError
from harness.models.local import wire
from harness.models.local.invalid import Invalid
from harness.models.local.loading import Loaded, Settings
from harness.models.local.request import GenerateRequest, read
from harness.models.local.service import GenerationFailed, Overloaded, Service, Stopping
from harness.models.untrusted import decode, record

_BODY_LIMIT = 64 << 20
_KEEP_ALIVE_S = 15.0


@asynccontextmanager
async def serving(
    loaded: Loaded, settings: Settings, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[tuple[Service, str], None]:
    """Serve a model; yields the service and its base URL.

    Args:
        loaded: the model.
        settings: how it is run.
        host: to listen at.
        port: to listen at; 0 takes a free one.

    Raises:
        UsageError: the address cannot be listened at.
    """
    service = Service(loaded, settings)
    runner = web.AppRunner(
        application(service), access_log=None, handler_cancellation=True, shutdown_timeout=1.0
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            told = f"cannot listen at {host}:{port}: {error.strerror or error}"
            raise UsageError(f"{told}; give another --port, or end what listens there") from error
        at = runner.addresses[0][:2]
        yield service, f"http://[{at[0]}]:{at[1]}" if ":" in at[0] else f"http://{at[0]}:{at[1]}"
    finally:
        await service.close()  # first, so that no handler waits for a model
        await runner.cleanup()


def application(service: Service) -> web.Application:
    """Build the routes around a service."""

    async def generate(request: web.Request) -> web.StreamResponse:
        return await _whole(service, read(await _body(request)), listed=False)

    async def compat(request: web.Request) -> web.StreamResponse:
        asked = read(await _body(request))
        if asked.stream:
            return await _streamed(service, request, asked)
        return await _whole(service, asked, listed=True)  # a list of one, as TGI's / has it

    async def stream(request: web.Request) -> web.StreamResponse:
        return await _streamed(service, request, read(await _body(request)))

    async def tokenize(request: web.Request) -> web.StreamResponse:
        asked = read(await _body(request))
        return _json(await service.tokens(asked.inputs))

    async def info(request: web.Request) -> web.StreamResponse:
        del request
        return _json(wire.info(service))

    async def health(request: web.Request) -> web.StreamResponse:
        del request
        if service.draining or not service.engine.alive:
            raise Stopping
        return web.Response()

    async def metrics(request: web.Request) -> web.StreamResponse:
        del request
        return web.Response(text=wire.metrics(service))

    app = web.Application(client_max_size=_BODY_LIMIT)
    posts = {"/": compat, "/generate": generate, "/generate_stream": stream, "/tokenize": tokenize}
    gets = {"/info": info, "/health": health, "/ping": health, "/metrics": metrics}
    app.add_routes([web.post(path, _refusing(service, handler)) for path, handler in posts.items()])
    app.add_routes([web.get(path, _refusing(service, handler)) for path, handler in gets.items()])
    return app


async def _whole(service: Service, asked: GenerateRequest, *, listed: bool) -> web.StreamResponse:
    with service.slot():
        started = await service.start(asked, stream=False)
        done = await service.answer(started)
    service.outcomes["success"] += 1
    body = wire.body(started, done)
    return _json([body] if listed else body, headers=wire.headers(service, started, done))


async def _streamed(service: Service, request: web.Request, asked: GenerateRequest) -> web.StreamResponse:
    """Answer with one event for each token; a refusal is an event as well, after status 200."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    try:
        with service.slot():
            started = await service.start(asked, stream=True)
            response.headers.update(wire.headers(service, started))
            await response.prepare(request)
            index = 0
            async with aclosing(service.events(started, beat_s=_KEEP_ALIVE_S)) as events:
                async for event in events:
                    index += event is not None
                    await response.write(
                        b":\n\n" if event is None else _event(wire.event(started, index, event))
                    )
        service.outcomes["success"] += 1
    except (Invalid, Overloaded, GenerationFailed) as error:
        _, body = _refused(service, error)
        if not response.prepared:
            await response.prepare(request)
        await response.write(_event(body))
    await response.write_eof()
    return response


async def _body(request: web.Request) -> dict[str, Any]:
    """The parsed body.

    Raises:
        web.HTTPException: it is no JSON; in plain text, as TGI's framework does it.
    """
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Expected request with `Content-Type: application/json`")
    try:
        return record(decode(await request.read()))
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"Failed to parse the request body as JSON: {error}") from None


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _refusing(service: Service, handler: Handler) -> Handler:
    """A handler whose refusals become answers.

    No middleware of aiohttp: its cache would hold the handlers, and so the model, after the server is closed.
    """

    async def refusing(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except msgspec.ValidationError as error:
            told = f"Failed to deserialize the JSON body into the target type: {error}"
            return web.Response(status=422, text=told)
        except (Invalid, Overloaded, GenerationFailed, Stopping) as error:
            status, body = _refused(service, error)
            return _json(body, status)
        except (asyncio.CancelledError, ConnectionError):  # the client closed the connection
            service.outcomes["cancelled"] += 1
            raise

    return refusing


def _refused(service: Service, error: Exception) -> tuple[int, dict[str, str]]:
    """Status and body of a refusal, in TGI's words."""
    match error:
        case Invalid():
            service.outcomes["validation"] += 1
            return 422, {"error": f"Input validation error: {error}", "error_type": "validation"}
        case Overloaded():
            service.outcomes["overloaded"] += 1
            return 429, {"error": "Model is overloaded", "error_type": "overloaded"}
        case Stopping():
            return 503, {"error": "unhealthy", "error_type": "healthcheck"}
        case _:
            service.outcomes["generation"] += 1
            told = f"Request failed during generation: {error}"
            return 424, {"error": told, "error_type": "generation"}


def _event(data: Any) -> bytes:
    return b"data:" + msgspec.json.encode(data) + b"\n\n"


def _json(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(data)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
