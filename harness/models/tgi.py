"""The native client: TGI's /generate and /generate_stream over one pooled aiohttp session."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import msgspec

from harness.errors import UsageError
from harness.models import wire
from harness.models.catalog import Entry
from harness.models.client import Call, Options
from harness.models.faults import Fault, classify
from harness.models.pool import Endpoint, Pool
from harness.templates import Template
from harness.types import Ask, Message, Reply

_CONNECT_S = 5.0
_QUEUE_ALLOWANCE_S = 30.0


def open_session(limit: int, token: str = "") -> aiohttp.ClientSession:
    """Open the one session that carries every request of a pool."""
    connector = aiohttp.TCPConnector(limit=limit, keepalive_timeout=75, enable_cleanup_closed=True)
    sent = {"Authorization": f"Bearer {token}"} if token else {}
    return aiohttp.ClientSession(connector=connector, headers=sent, auto_decompress=True)


def timeouts(max_new_tokens: int) -> aiohttp.ClientTimeout:
    """Bound connecting and every wait for bytes; the whole is bounded by the request's deadline."""
    read = max(60.0, max_new_tokens * 0.25 + _QUEUE_ALLOWANCE_S)
    return aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=read)


class TgiModel:
    """A model behind TGI endpoints."""

    def __init__(
        self,
        entry: Entry,
        pool: Pool,
        session: aiohttp.ClientSession,
        *,
        templates: Mapping[str, Template],
        info: Mapping[str, Any],
        options: Options,
    ) -> None:
        self.name = entry.name
        self.pool = pool
        self._entry = entry
        self._session = session
        self._templates = templates
        self._info = info
        self._options = options

    @property
    def info(self) -> Mapping[str, Any]:
        """What the manifest records."""
        return self._info

    def render(self, messages: Sequence[Message], suite: str = "", task: str = "") -> str:
        """Render the prompt as it will be sent."""
        template = self._templates.get(task) or self._templates.get(suite) or self._templates[""]
        return template.render(messages)

    async def count(self, text: str) -> int | None:
        """Count tokens at an endpoint."""
        del text
        return None

    async def complete(self, call: Call) -> Reply:
        """Answer a call, retrying until its deadline."""
        started = time.monotonic()
        prompt = call.raw if call.raw is not None else self.render(call.messages, call.suite, call.key.task)
        prompt += call.ask.prefix
        if call.ask.choices:
            answer, endpoint, tries = await self.generate(call, prompt, grammar(call.ask))
            return _chosen(call, answer, endpoint, tries, started)
        answer, endpoint, tries = await self.generate(call, prompt, {})
        stops = (*call.ask.stop, *self._entry.stop)
        text, stopped = wire.cut(answer.text, stops)
        return Reply(
            text,
            finish_reason="stop_sequence" if stopped else answer.finish_reason,
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            seed=answer.seed,
            endpoint=endpoint.url,
            attempts=tries,
            latency_s=time.monotonic() - started,
            queue_s=answer.queue_s or 0.0,
        )

    async def generate(
        self, call: Call, prompt: str, extra: Mapping[str, Any]
    ) -> tuple[wire.Answer, Endpoint, int]:
        """Send one prompt with the call's parameters and `extra` ones."""
        sent = wire.parameters(call.ask, seed=call.seed, stop=self._entry.stop, decoding=call.decoding)
        body = msgspec.json.encode({"inputs": wire.clean(prompt), "parameters": {**sent, **extra}})
        names = wire.headers(call.key) | {"Content-Type": "application/json"}
        timeout = timeouts(call.ask.max_new_tokens)

        async def attempt(endpoint: Endpoint) -> wire.Answer:
            return await self.post(endpoint, body, names, timeout)

        key = f"{call.key.task}/{call.key.sample}/{call.key.repeat}"
        return await self.pool.run(key, attempt, deadline_s=call.deadline_s)

    async def post(
        self, endpoint: Endpoint, body: bytes, names: Mapping[str, str], timeout: aiohttp.ClientTimeout
    ) -> wire.Answer:
        """Make one attempt. Leaving early closes the connection, and the server drops the request."""
        url = endpoint.url + "/generate"
        try:
            async with self._session.post(
                url, data=body, headers=names, timeout=timeout, allow_redirects=False
            ) as response:
                data = await response.read()
                if response.status != 200:
                    raise classify(response.status, data, where=url)
                return wire.read_generate(data, response.headers, where=url)
        except TimeoutError as error:
            raise Fault("timeout", f"{url} sent nothing for {timeout.sock_read:g} s") from error
        except aiohttp.InvalidURL as error:
            raise UsageError(f"{url} is not a URL; give --endpoint http://host:port") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Fault("connection", f"{url}: {type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()


def grammar(ask: Ask) -> dict[str, Any]:
    """Constrain one token to the choices, so that all of them appear among its alternatives."""
    import re

    spaced = all(choice.startswith(" ") for choice in ask.choices)
    body = "|".join(re.escape(choice.strip()) for choice in ask.choices)
    return {
        "grammar": {"type": "regex", "value": f"{' ' if spaced else ' ?'}({body})"},
        "max_new_tokens": 1,
        "top_n_tokens": 5,
        "do_sample": False,
    }


def _chosen(call: Call, answer: wire.Answer, endpoint: Endpoint, tries: int, started: float) -> Reply:
    scores = {str(token["text"]).strip(): token["logprob"] for token in answer.top_tokens}
    logprobs = tuple(float(scores.get(choice.strip(), -100.0)) for choice in call.ask.choices)
    best = max(range(len(logprobs)), key=logprobs.__getitem__)
    return Reply(
        call.ask.choices[best],
        choice=best,
        logprobs=logprobs,
        method="G",
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.prompt_tokens,
        output_tokens=answer.output_tokens,
        endpoint=endpoint.url,
        attempts=tries,
        latency_s=time.monotonic() - started,
    )
