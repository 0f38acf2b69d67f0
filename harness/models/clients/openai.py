"""OpenAI's protocol: completions keep our templates, chat leaves the template to the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from harness.errors import ContextOverflow, RequestRejected, UsageError
from harness.models import outside
from harness.models.api import Call
from harness.models.clients.answer import UNCUT, Answer
from harness.models.clients.base import BaseModel
from harness.models.clients.dialect import Dialect
from harness.models.clients.exchange import Check, Prompt
from harness.models.clients.openai_stream import OpenAiStream
from harness.models.clients.openai_wire import read_completion, translate
from harness.models.clients.request import call_headers, parameters
from harness.models.clients.token_ids import TokenIds
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Refused
from harness.models.untrusted import MOST, Token
from harness.types import Message, Reply


class CompletionsModel(BaseModel):
    """A model behind /v1/completions: vLLM, SGLang, llama.cpp, TGI's own /v1."""

    path = "/v1/completions"
    _chat = False

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        known = self.pool.endpoints[0].capabilities
        self.dialect = Dialect(known.software if known else "", chat=self._chat)
        self.methods = ("O", "P") if self.dialect.can_echo else ("O",)
        self.most = self.dialect.most
        self._ids: dict[str, TokenIds] = {}

    async def generate(
        self, call: Call, prompt: Prompt, extra: Mapping[str, Any], check: Check | None = None
    ) -> Answer:
        """Send one prompt with the call's parameters, and `extra` ones (TGI's names) over them."""
        sent = parameters(
            prompt.asked(call.ask), seed=call.seed, stop=self.entry.stop, decoding=call.decoding
        )
        sent = {key: value for key, value in {**sent, **extra}.items() if value is not None}
        while True:
            fields = self.dialect.fields(sent) | translate(sent) | self.input(call, prompt)
            try:
                return await self._send(call, prompt, sent, fields, check)
            except Refused as refused:
                if not self.dialect.give_way(refused, fields):
                    raise
                self.most = self.dialect.most
            except ContextOverflow as error:
                if "truncate" not in sent or self.dialect.truncates:
                    raise
                raise ContextOverflow(f"{error} ({UNCUT})", limit=error.limit, given=error.given) from error

    @property
    def info(self) -> Mapping[str, Any]:
        """What the manifest records."""
        return {**self._info, "understood": self.dialect.understood()}

    @property
    def served_name(self) -> str:
        """The `model` of a request; TGI takes any other name than its own for that of a LoRA adapter."""
        known = self.pool.endpoints[0].capabilities
        return "tgi" if known is not None and known.version else self.entry.wire_name

    async def _send(
        self,
        call: Call,
        prompt: Prompt,
        sent: Mapping[str, Any],
        fields: dict[str, Any],
        check: Check | None,
    ) -> Answer:
        headers = call_headers(call.key, call.role, call.part)
        streamed = self.options.stream or self.entry.stream
        streamed = streamed and check is None and "top_logprobs" not in sent
        told = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {"stream": False}
        echo = bool(sent.get("decoder_input_details"))

        async def attempt(endpoint: Endpoint) -> Answer:
            url = endpoint.url + self.path
            cut = await self._cut(endpoint, prompt, sent)
            body = msgspec.json.encode({"model": self.served_name} | told | fields | cut | dict(call.extra))
            room = int(sent["max_new_tokens"])
            if streamed:
                follow = partial(OpenAiStream, room=room, watch=self.watch(call, prompt), where=url)
                answer = await self.transport.stream(url, body, headers, follow, max_new_tokens=room)
            else:
                data, _ = await self.transport.post(url, body, headers, max_new_tokens=room)
                answer = read_completion(data, where=url, echo=echo)
            answer.uncut = answer.prompt_tokens > sent.get("truncate", MOST)
            if fields.get("return_tokens_as_token_ids"):
                answer.top_tokens = await self._spelt(endpoint, answer)
            if check is not None:
                check(answer, url)
            return answer

        return await self._run(call, attempt, fields.get("seed"))

    def reply(self, answer: Answer, text: str, **more: Any) -> Reply:
        """Build a reply from an answer; `more` sets further fields."""
        if answer.uncut:
            more["notes"] = (*more.get("notes", ()), UNCUT)
        return super().reply(answer, text, **more)

    async def _spelt(self, endpoint: Endpoint, answer: Answer) -> Sequence[Token]:
        try:
            return await self.token_ids(endpoint).spelt(answer.top_tokens)
        except RequestRejected as error:
            text = f"{endpoint.url} gives token ids and does not spell them ({error})"
            if not self._chat:  # `echo` is exact without a spelling
                raise RequestRejected(text) from error
            raise Refused(f"{text}: return_tokens_as_token_ids", status=400, error_type="") from error

    def token_ids(self, endpoint: Endpoint) -> TokenIds:
        """The tokenizer of an endpoint."""
        if (found := self._ids.get(endpoint.url)) is None:
            known = endpoint.capabilities
            software = known.software if known else ""
            found = self._ids[endpoint.url] = TokenIds(
                self.transport, endpoint.url, software, self.served_name
            )
        return found

    async def _cut(self, endpoint: Endpoint, prompt: Prompt, sent: Mapping[str, Any]) -> dict[str, Any]:
        """The last tokens of a prompt that is longer than `truncate`, where the server itself cannot cut.

        A token has a byte at least, so that a shorter prompt needs no tokenizer.
        """
        most = sent.get("truncate")
        if not most or self.dialect.truncates or not self.dialect.server.takes_ids or self._chat:
            return {}
        if len(prompt.text.encode()) < most:
            return {}
        ids = await self.token_ids(endpoint).ids(prompt.text)
        return {"prompt": ids[-most:]} if ids and len(ids) > most else {}

    def input(self, call: Call, prompt: Prompt) -> dict[str, Any]:
        """Write the prompt in the protocol's field."""
        del call
        return {"prompt": prompt.text}


class ChatModel(CompletionsModel):
    """A model behind /v1/chat/completions; the server renders the conversation."""

    path = "/v1/chat/completions"
    _chat = True

    def prompt(self, call: Call) -> Prompt:
        """Take the conversation; a raw prompt becomes one user message.

        Raises:
            UsageError: a prefix cannot be sent, the server closes the user's turn.
        """
        if call.ask.prefix:
            raise UsageError(
                f"the task begins the assistant's turn itself, which {self.name} (chat) cannot take; "
                "use the same model @completions or a TGI endpoint"
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

    def _notes(self, call: Call) -> tuple[str, ...]:
        return (*super()._notes(call), *(("raw->user",) if call.raw is not None else ()))
