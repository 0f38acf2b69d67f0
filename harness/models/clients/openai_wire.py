"""OpenAI's protocol as bytes: parameters under its names, and its completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct

from harness.models import outside
from harness.models.clients.answer import Answer
from harness.models.clients.request import samples
from harness.models.clients.token_ids import token_id
from harness.models.pool.faults import Fault, describe, from_error
from harness.models.untrusted import ABSENT, KEPT, Body, Token, count, field, part, read, short, string

_FINISH = {"stop": "eos_token", "eos": "eos_token", "abort": "abort"}
_ERROR = 64 << 10


def translate(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Write TGI parameters under OpenAI's names; greedy decoding is temperature 0 there."""
    fields: dict[str, Any] = {"max_tokens": sent["max_new_tokens"], "temperature": 0}
    if samples(sent):
        fields["temperature"] = sent.get("temperature", 1.0)
        fields |= {key: sent[key] for key in ("top_p", "top_k", "seed") if key in sent}
    if "stop" in sent:
        fields["stop"] = sent["stop"]
    return fields


class _Completion(Struct):
    choices: Raw = ABSENT
    usage: Raw = ABSENT
    system_fingerprint: Raw = ABSENT


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
    tokens: Raw = ABSENT
    token_logprobs: Raw = ABSENT


class _Alternative(Struct):
    token: str
    logprob: float | None = None


class _Place(Struct):
    top_logprobs: list[_Alternative] = []


def read_completion(body: Body, *, where: str = "", echo: bool = False) -> Answer:
    """Read a completion or chat completion; with `echo` the prompt's tokens stand before the generated ones.

    Raises:
        Fault: a 200 that is no answer.
    """
    try:
        response = read(body, _Completion)
        if len(response.choices) > KEPT:
            raise Fault("too-large", f"{where} sent choices of {len(response.choices)} bytes")
        choices = read(response.choices, list[_Choice]) if len(response.choices) else []
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
    usage = part(response.usage, _Usage)
    given, logprobs = count(field(usage.prompt_tokens)) or 0, part(choice.logprobs, _Logprobs)
    return Answer(
        outside.text(text or ""),
        finish_reason=_FINISH.get(finish, finish),
        prompt_tokens=given,
        output_tokens=count(field(usage.completion_tokens)) or 0,
        top_tokens=_alternatives(logprobs),
        prefill=_echoed(logprobs)[:given] if echo else (),
        system=short(field(response.system_fingerprint), 80),
    )


def _alternatives(logprobs: _Logprobs) -> list[Token]:
    try:
        if _is_filled(logprobs.content) and (places := read(logprobs.content, list[_Place])):
            # chat, and llama.cpp everywhere
            return [_token(one.token, one.logprob) for one in places[0].top_logprobs]
        if _is_filled(logprobs.top_logprobs):
            tops = read(logprobs.top_logprobs, list[dict[str, float | None]])
            return [_token(text, logprob) for text, logprob in (tops[0] if tops else {}).items()]
    except ValueError:
        pass
    return []


def _echoed(logprobs: _Logprobs) -> list[Token]:
    try:
        texts = read(logprobs.tokens, list[str]) if 0 < len(logprobs.tokens) <= KEPT else []
        found = read(logprobs.token_logprobs, list[float | None]) if texts else []
    except ValueError:
        return []
    return [_token(*one) for one in zip(texts, found, strict=False)]


def _token(text: str, logprob: float | None) -> Token:
    return Token(token_id(text), text, logprob)


def _is_filled(raw: Raw) -> bool:
    return bytes(raw) not in (b"", b"null", b"[]")
