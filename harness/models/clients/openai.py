"""OpenAI's protocol: completions keep our templates, chat leaves the template to the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from harness.errors import UsageError
from harness.models import outside
from harness.models.api import Call
from harness.models.clients import wire
from harness.models.clients.base import BaseModel
from harness.models.clients.exchange import Check, Prompt, Result
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Fault, Refused, describe, from_error
from harness.models.untrusted import ABSENT, KEPT, Body, Token, count, field, part, read, short, string
from harness.types import Message

_FINISH = {"stop": "eos_token", "eos": "eos_token", "abort": "abort"}
_ERROR = 64 << 10
_WIDE, _NARROW = 20, 5  # alternatives per token: what vLLM gives, and what TGI and OpenAI's completions give


class CompletionsModel(BaseModel):
    """A model behind /v1/completions: vLLM, SGLang, llama.cpp, TGI's own /v1."""

    methods = ("O",)
    path = "/v1/completions"
    _alternatives = _WIDE

    async def generate(
        self, call: Call, prompt: Prompt, extra: Mapping[str, Any], check: Check | None = None
    ) -> Result:
        """Send one prompt with the call's parameters, and `extra` ones (TGI's names) over them."""
        sent = wire.parameters(call.ask, seed=call.seed, stop=self.entry.stop, decoding=call.decoding)
        sent = {key: value for key, value in {**sent, **extra}.items() if value is not None}
        try:
            return await self._send(call, prompt, sent, check)
        except Refused as refused:
            if "top_logprobs" not in sent or "logprob" not in str(refused) or self._alternatives == _NARROW:
                raise
            self._alternatives = _NARROW
            return await self._send(call, prompt, sent, check)

    async def _send(self, call: Call, prompt: Prompt, sent: Mapping[str, Any], check: Check | None) -> Result:
        fields = translate(sent) | self.input(call, prompt)
        if "top_logprobs" in sent:
            fields |= self.alternatives(self._alternatives)
        known = self.pool.endpoints[0].capabilities
        # TGI takes any other name for that of a LoRA adapter.
        name = "tgi" if known is not None and known.version else self.entry.wire_name
        body = msgspec.json.encode({"model": name, "stream": False} | fields)
        headers = wire.headers(call.key, call.role, call.part)

        async def attempt(endpoint: Endpoint) -> wire.Answer:
            url = endpoint.url + self.path
            room = int(sent["max_new_tokens"])
            data, _ = await self.transport.post(url, body, headers, max_new_tokens=room)
            answer = read_completion(data, where=url)
            if check is not None:
                check(answer, url)
            return answer

        answer, endpoint, tries = await self.pool.run(self.episode(call), attempt, deadline_s=call.deadline_s)
        return Result(answer, endpoint, tries, fields.get("seed"))

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
        """Keep the conversation; a raw prompt becomes one user message.

        Raises:
            UsageError: a prefix cannot be sent, the server closes the user's turn.
        """
        if call.ask.prefix:
            raise UsageError(
                f"{call.key.task} starts the assistant's turn itself, which {self.name} (chat) cannot; "
                "use the same model @openai or a TGI endpoint"
            )
        messages = call.messages if call.raw is None else (Message("user", call.raw),)
        return Prompt(self.render(messages), messages)

    def render(self, messages: Any, suite: str = "", task: str = "") -> str:
        """Show the conversation for the store and for counting; the server's own template is what counts."""
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


def translate(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Write TGI parameters under OpenAI's names; greedy must be said there, as temperature 0."""
    fields: dict[str, Any] = {"max_tokens": sent["max_new_tokens"], "temperature": 0}
    if wire.samples(sent):
        fields["temperature"] = sent.get("temperature", 1.0)
        fields |= {key: sent[key] for key in ("top_p", "top_k", "seed") if key in sent}
    if "stop" in sent:
        fields["stop"] = sent["stop"]
    return fields


class _Completion(Struct):
    choices: Raw = ABSENT
    usage: Raw = ABSENT


class _Choice(Struct):
    text: Raw = ABSENT
    message: Raw = ABSENT
    finish_reason: Raw = ABSENT
    logprobs: Raw = ABSENT


class _Message(Struct):
    content: Raw = ABSENT


class _Usage(Struct):
    prompt_tokens: Raw = ABSENT
    completion_tokens: Raw = ABSENT


class _Logprobs(Struct):
    content: Raw = ABSENT
    top_logprobs: Raw = ABSENT


class _Alternative(Struct):
    token: str
    logprob: float | None = None


class _Place(Struct):
    top_logprobs: list[_Alternative] = []


def read_completion(body: Body, *, where: str = "") -> wire.Answer:
    """Read a completion or chat completion.

    Raises:
        Fault: a 200 that is no answer.
    """
    try:
        told = read(body, _Completion)
        if len(told.choices) > KEPT:
            raise Fault("too-large", f"{where} sent choices of {len(told.choices)} bytes")
        choices = read(told.choices, list[_Choice]) if len(told.choices) else []
    except ValueError as error:
        raise Fault("not-json", f"{where} answered 200, but with no completion ({error})") from error
    if not choices:
        message, kind = describe(bytes(body[:_ERROR]))
        raise from_error(200, f"no choices: {message}", kind, where=where)
    choice = choices[0]
    raw = choice.text if len(choice.text) else part(choice.message, _Message).content
    text, finish = string(raw), short(field(choice.finish_reason), 40)
    if text is None and not (finish and bytes(raw) in (b"", b"null")):
        raise Fault("no-text", f"{where} answered 200 without text")
    usage = part(told.usage, _Usage)
    return wire.Answer(
        outside.text(text or ""),
        finish_reason=_FINISH.get(finish, finish),
        prompt_tokens=count(field(usage.prompt_tokens)) or 0,
        output_tokens=count(field(usage.completion_tokens)) or 0,
        top_tokens=_alternatives(part(choice.logprobs, _Logprobs)),
    )


def _alternatives(logprobs: _Logprobs) -> list[Token]:
    try:
        if _told(logprobs.content) and (places := read(logprobs.content, list[_Place])):
            # chat, and llama.cpp everywhere
            return [Token(text=one.token, logprob=one.logprob) for one in places[0].top_logprobs]
        if _told(logprobs.top_logprobs):
            tops = read(logprobs.top_logprobs, list[dict[str, float | None]])
            return [Token(text=text, logprob=told) for text, told in (tops[0] if tops else {}).items()]
    except ValueError:
        pass
    return []


def _told(raw: Raw) -> bool:
    return bytes(raw) not in (b"", b"null", b"[]")
