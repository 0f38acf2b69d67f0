"""A transformers model of this machine behind TGI's protocol on loopback.

For small models and small runs: one request at a time. Serve anything larger with TGI (docker/README.md).
On a CPU, OMP_NUM_THREADS says how many threads compute; without it one does.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import tempfile
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from harness.catalog import models as catalog
from harness.catalog.models import Entry
from harness.errors import MissingPart, UsageError
from harness.models.local.local_torch import Invalid, LocalModel
from harness.models.untrusted import decode, record

_CONCURRENT = 64


@asynccontextmanager
async def serve_local(entry: Entry) -> AsyncGenerator[tuple[Entry, str], None]:
    """Load the model and serve it; yields the entry with its template, and the base URL.

    Raises:
        MissingPart: torch or transformers is not installed, or the model cannot be loaded.
        UsageError: the model brings no chat template and models.toml has none for it.
    """
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingPart(f"{entry.name} needs {package}: pip install 'agenttuning-harness[local]'")
    # One thread: the model is not shared, and the event loop goes on meanwhile.
    with (
        ThreadPoolExecutor(1, thread_name_prefix="local-model") as thread,
        tempfile.TemporaryDirectory() as work,
    ):
        loop = asyncio.get_running_loop()
        try:
            model = await loop.run_in_executor(thread, LocalModel, entry.path)
        except (OSError, ValueError) as error:
            raise MissingPart(f"{entry.name} cannot be loaded: {error}") from error
        entry = replace(entry, template=_template(entry, model, Path(work)), context=model.max_total)
        runner = web.AppRunner(_Server(model, thread).app, access_log=None, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            yield entry, f"http://{host}:{port}"
        finally:
            await runner.cleanup()


def _template(entry: Entry, model: LocalModel, work: Path) -> str:
    """Name the model's template: the command's, the one models.toml has for these weights, or its own."""
    if entry.template:
        return entry.template
    for known in catalog.load().values():
        if entry.path in (known.hf, *known.aliases) and known.template:
            return known.template
    config = model.template_config()
    if not isinstance(config.get("chat_template"), str | dict):
        raise UsageError(
            f"{entry.path} has no chat template; give --template, or name one in a models file "
            f'(HARNESS_MODELS), with hf = "{entry.path}"'
        )
    path = work / "tokenizer_config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return str(path)


class _Server:
    """TGI's routes around one model and the thread it runs in."""

    def __init__(self, model: LocalModel, thread: ThreadPoolExecutor) -> None:
        self._model = model
        self._thread = thread
        self.app = web.Application(middlewares=[_refusals], client_max_size=64 << 20)
        self.app.router.add_post("/", self.compat)
        self.app.router.add_post("/generate", self.generate)
        self.app.router.add_post("/generate_stream", self.stream)
        self.app.router.add_post("/tokenize", self.tokenize)
        self.app.router.add_get("/info", self.info)
        self.app.router.add_get("/health", self.health)

    async def _run(self, request: web.Request) -> tuple[dict[str, Any], dict[str, str]]:
        sent = record(decode(await request.read()))
        cancelled = threading.Event()
        work = asyncio.get_running_loop().run_in_executor(
            self._thread, self._model.generate, str(sent["inputs"]), record(sent.get("parameters")), cancelled
        )
        try:
            body = await work
        except asyncio.CancelledError:
            cancelled.set()  # the client closed the connection: stop at the next token
            raise
        sizes = {"x-prompt-tokens": str(body.pop("prompt_tokens"))}
        return body, sizes | {"x-generated-tokens": str(body["details"]["generated_tokens"])}

    async def generate(self, request: web.Request) -> web.StreamResponse:
        body, sizes = await self._run(request)
        return _json(body, headers=sizes)

    async def compat(self, request: web.Request) -> web.StreamResponse:
        if record(decode(await request.read())).get("stream"):
            return await self.stream(request)
        body, sizes = await self._run(request)
        return _json([body], headers=sizes)  # a list of one, as TGI's / has it

    async def stream(self, request: web.Request) -> web.StreamResponse:
        body, sizes = await self._run(request)
        details = body["details"]
        last = {key: details[key] for key in ("finish_reason", "generated_tokens", "seed")}
        last["input_length"] = int(sizes["x-prompt-tokens"])
        token = details["tokens"][-1]
        event = {"index": 1, "token": token, "generated_text": body["generated_text"], "details": last}
        payload = b"data:" + msgspec.json.encode(event) + b"\n\n"
        return web.Response(body=payload, content_type="text/event-stream", headers=sizes)

    async def tokenize(self, request: web.Request) -> web.StreamResponse:
        text = str(record(decode(await request.read()))["inputs"])
        loop = asyncio.get_running_loop()
        return _json(await loop.run_in_executor(self._thread, self._model.tokenize, text))

    async def info(self, request: web.Request) -> web.StreamResponse:
        del request
        total = self._model.max_total
        return _json(
            {
                "model_id": self._model.name,
                "model_sha": self._model.sha or None,
                "version": "3.3.6",  # the protocol spoken, with prefill and grammars of choices
                "router": "harness-local",
                "max_concurrent_requests": _CONCURRENT,
                "max_input_tokens": total - 1,
                "max_total_tokens": total,
                "max_stop_sequences": 4,
                "max_best_of": 1,
                "max_client_batch_size": 1,
                "validation_workers": 1,
            }
        )

    async def health(self, request: web.Request) -> web.StreamResponse:
        del request
        return web.Response()


@web.middleware
async def _refusals(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        return await handler(request)
    except Invalid as error:
        return _json({"error": f"Input validation error: {error}", "error_type": "validation"}, 422)
    except RuntimeError as error:  # out of memory, for one
        return _json({"error": f"Request failed during generation: {error}", "error_type": "generation"}, 424)


def _json(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(data)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
