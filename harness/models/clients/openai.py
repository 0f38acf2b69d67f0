"""OpenAI's protocol: completions keep our templates, chat leaves the template to the server."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from harness.errors import UsageError
from harness.models import outside
from harness.models.api import Call
from harness.models.clients.answer import Answer
from harness.models.clients.base import BaseModel
from harness.models.clients.exchange import Check, Prompt
from harness.models.clients.openai_stream import OpenAiStream
from harness.models.clients.openai_wire import read_completion, translate
from harness.models.clients.request import call_headers, parameters
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Refused
from harness.types import Message

_WIDE, _NARROW = 20, 5  # alternatives per token: what vLLM gives, and what TGI and OpenAI's completions give


class CompletionsModel(BaseModel):
    """A model behind /v1/completions: vLLM, SGLang, llama.cpp, TGI's own /v1."""

    methods = ("O",)
    path = "/v1/completions"
    _alternatives = _WIDE

    async def generate(
        self, call: Call, prompt: Prompt, extra: Mapping[str, Any], check: Check | None = None
    ) -> Answer:
        """Send one prompt with the call's parameters, and `extra` ones (TGI's names) over them."""
        sent = parameters(
            prompt.asked(call.ask), seed=call.seed, stop=self.entry.stop, decoding=call.decoding
        )
        sent = {key: value for key, value in {**sent, **extra}.items() if value is not None}
        try:
            return await self._send(call, prompt, sent, check)
        except Refused as refused:
            if "top_logprobs" not in sent or "logprob" not in str(refused) or self._alternatives == _NARROW:
                raise
            self._alternatives = _NARROW
            return await self._send(call, prompt, sent, check)

    @property
    def served_name(self) -> str:
        """The `model` of a request; TGI takes any other name than its own for that of a LoRA adapter."""
        known = self.pool.endpoints[0].capabilities
        return "tgi" if known is not None and known.version else self.entry.wire_name

    async def _send(self, call: Call, prompt: Prompt, sent: Mapping[str, Any], check: Check | None) -> Answer:
        fields = translate(sent) | self.input(call, prompt)
        if "top_logprobs" in sent:
            fields |= self.alternatives(self._alternatives)
        streamed = (self.options.stream or self.entry.stream) and check is None
        told = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {"stream": False}
        body = msgspec.json.encode({"model": self.served_name} | told | fields)
        headers = call_headers(call.key, call.role, call.part)

        async def attempt(endpoint: Endpoint) -> Answer:
            url = endpoint.url + self.path
            room = int(sent["max_new_tokens"])
            if streamed:
                follow = partial(OpenAiStream, room=room, watch=self.watch(call, prompt), where=url)
                return await self.transport.stream(url, body, headers, follow, max_new_tokens=room)
            data, _ = await self.transport.post(url, body, headers, max_new_tokens=room)
            answer = read_completion(data, where=url)
            if check is not None:
                check(answer, url)
            return answer

        return await self._run(call, attempt, fields.get("seed"))

    def input(self, call: Call, prompt: Prompt) -> dict[str, Any]:
        """Write the prompt in the protocol's field."""
        del call
        return {"prompt": prompt.text}

    def alternatives(self, width: int) -> dict[str, Any]:
        """Ask for the likeliest tokens at each place."""
        return {"logprobs": width}

    def _notes(self, call: Call) -> tuple[str, ...]:
        return (*super()._notes(call), *(("truncate not sent",) if call.ask.truncate is not None else ()))


class ChatModel(CompletionsModel):
    """A model behind /v1/chat/completions; the server renders the conversation."""

    path = "/v1/chat/completions"

    def prompt(self, call: Call) -> Prompt:
        """Take the conversation; a raw prompt becomes one user message.

        Raises:
            UsageError: a prefix cannot be sent, the server closes the user's turn.
        """
        if call.ask.prefix:
            raise UsageError(
                f"{call.key.task} starts the assistant's turn itself, which {self.name} (chat) cannot; "
                "use the same model @openai or a TGI endpoint"
            )
        messages = call.messages if call.raw is None else (Message("user", call.raw),)
        quiet = self.options.reasoning == "strip" and self._quiet
        return Prompt(self.render(messages), messages, None, quiet)

    def render(self, messages: Any, suite: str = "", task: str = "") -> str:
        """Show the conversation for the store and for counting; the server renders it by its own template."""
        del suite, task
        return "\n\n".join(f"{m.role}: {m.content}" for m in messages)

    def input(self, call: Call, prompt: Prompt) -> dict[str, Any]:
        """Write the conversation in the protocol's field."""
        del call
        return {
            "messages": [{"role": m.role, "content": outside.paired(m.content)} for m in prompt.messages],
        }

    def alternatives(self, width: int) -> dict[str, Any]:
        """Ask for the likeliest tokens at each place."""
        return {"logprobs": True, "top_logprobs": width}

    def _notes(self, call: Call) -> tuple[str, ...]:
        return (*super()._notes(call), *(("raw->user",) if call.raw is not None else ()))
