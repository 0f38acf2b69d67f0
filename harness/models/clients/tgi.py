"""The native client: TGI's /generate and /generate_stream."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from harness.errors import ContextOverflow, RequestRejected
from harness.models import outside
from harness.models.api import Call
from harness.models.clients.answer import UNCUT, Answer, queue_s, read_generate
from harness.models.clients.base import BaseModel
from harness.models.clients.exchange import Check, Prompt
from harness.models.clients.request import call_headers, parameters
from harness.models.clients.stream import Stream
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Fault
from harness.models.untrusted import tokens


class TgiModel(BaseModel):
    """A model behind TGI endpoints (or anything that speaks their protocol)."""

    methods = ("G", "P", "T")

    async def generate(
        self, call: Call, prompt: Prompt, extra: Mapping[str, Any], check: Check | None = None
    ) -> Answer:
        """Send one prompt with the call's parameters, and `extra` ones over them (None removes one)."""
        decoding = {**call.decoding, **call.extra}
        sent = parameters(prompt.asked(call.ask), seed=call.seed, stop=self.entry.stop, decoding=decoding)
        if extra:
            sent = {key: value for key, value in {**sent, **extra}.items() if value is not None}
        headers = call_headers(call.key, call.role, call.part)
        room = int(sent["max_new_tokens"])

        async def attempt(endpoint: Endpoint) -> Answer:
            taken = sent
            if not _takes(endpoint, sent.get("truncate")):
                taken = {key: value for key, value in sent.items() if key != "truncate"}
            body = msgspec.json.encode({"inputs": prompt.text, "parameters": taken})
            try:
                return await once(endpoint, body)
            except ContextOverflow as error:
                if taken == sent:
                    raise
                raise ContextOverflow(f"{error} ({UNCUT})", limit=error.limit, given=error.given) from error

        async def once(endpoint: Endpoint, body: bytes) -> Answer:
            if (self.options.stream or self.entry.stream) and not extra:
                url = endpoint.url + "/generate_stream"
                watch = self.watch(call, prompt)
                follow = partial(Stream, room=room, watch=watch, where=url)
                return await self.transport.stream(url, body, headers, follow, max_new_tokens=room)
            url = endpoint.url + "/generate"
            data, received = await self.transport.post(url, body, headers, max_new_tokens=room)
            answer = read_generate(data, received, where=url)
            if check is not None:
                check(answer, url)
            return answer

        return await self._run(call, attempt, sent.get("seed"))

    async def tokens(self, text: str, *, deadline_s: float = 60.0) -> list[int] | None:
        """Ids of a prompt's tokens, with those the server adds itself; None when it cannot tokenize."""
        sent = {"inputs": outside.paired(text), "parameters": {"max_new_tokens": 1, "do_sample": False}}
        body = msgspec.json.encode(sent)

        async def attempt(endpoint: Endpoint) -> Answer:
            url = endpoint.url + "/tokenize"
            data, received = await self.transport.post(url, body, {})
            found = tokens(data)
            if not found or any(token.id is None for token in found):
                raise Fault("no-tokens", f"{url} answered 200 without token ids")
            return Answer("", prefill=found, queue_s=queue_s(received))

        try:
            answer, _, _ = await self.pool.run("tokenize", attempt, deadline_s=deadline_s)
        except RequestRejected:
            return None
        return [token.id for token in answer.prefill if token.id is not None]

    async def count(self, text: str) -> int | None:
        """Count tokens at an endpoint; None when it cannot tokenize."""
        if not all(e.capabilities is None or e.capabilities.tokenize for e in self.pool.endpoints):
            return None
        found = await self.tokens(text)
        return None if found is None else len(found)


def _takes(endpoint: Endpoint, truncate: Any) -> bool:
    """Whether a server takes this `truncate`; one above its longest prompt it refuses, whatever is sent.

    Without it, prompts that the server takes are left as they are, and longer ones end as `limit`.
    """
    most = endpoint.capabilities.max_input if endpoint.capabilities else 0
    return not most or not isinstance(truncate, int) or truncate <= most
