"""OpenAI's protocol as bytes: parameters under its names, and its completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct

from harness.models import outside
from harness.models.clients.answer import Answer
from harness.models.clients.meaning import code, ending, failure, raise_error
from harness.models.clients.openai_text import Choice, Said, is_filled, written
from harness.models.clients.request import samples
from harness.models.clients.token_ids import token_id
from harness.models.pool.faults import Fault, describe
from harness.models.untrusted import ABSENT, KEPT, Body, Token, count, field, part, read, short

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


class Completion(Struct):
    """A completion, or an event of one that is streamed: the fields that are read, each as sent."""

    choices: Raw = ABSENT
    usage: Raw = ABSENT
    system_fingerprint: Raw = ABSENT
    error: Raw = ABSENT


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
        Fault, ContextOverflow, RequestRejected: a 200 that is no answer (`harness.models.clients.meaning`).
    """
    try:
        response = read(body, Completion)
    except ValueError as error:
        raise Fault("not-json", f"{where} answered 200, but with no completion ({error})") from error
    choice = first_choice(response, where)
    if choice is None:
        message, kind = describe(bytes(body[:_ERROR]))
        raise failure(f"no choices: {message}", kind, code(bytes(body[:_ERROR])), where=where)
    said = written(choice)
    finish = short(field(choice.finish_reason), 40)
    if said is None and not finish:
        raise Fault("no-text", f"{where} answered 200 without text")
    return build(said or Said(), finish, response, choice, where=where, echo=echo)


def first_choice(response: Completion, where: str) -> Choice | None:
    """The first choice of a completion; None when there is none.

    Raises:
        Fault, ContextOverflow, RequestRejected: there is an error instead, of all or of this choice.
    """
    raise_error(response.error, where=where)
    if len(response.choices) > KEPT:
        raise Fault("too-large", f"{where} sent choices of {len(response.choices)} bytes")
    try:
        choices = read(response.choices, list[Choice]) if is_filled(response.choices) else []
    except ValueError as error:
        raise Fault("not-json", f"{where} answered 200, but with no completion ({error})") from error
    if not choices:
        return None
    raise_error(choices[0].error, where=where)
    return choices[0]


def build(
    said: Said, finish: str, response: Completion, choice: Choice, *, where: str = "", echo: bool = False
) -> Answer:
    """Build the answer from what was written, the reason to end, and the rest of the response.

    Raises:
        Fault, RequestRejected: the reason to end says that it is none.
    """
    finish, notes = ending(finish, where=where)
    usage = part(response.usage, _Usage)
    given, logprobs = count(field(usage.prompt_tokens)) or 0, part(choice.logprobs, _Logprobs)
    return Answer(
        outside.text(said.text or said.refusal),
        finish_reason=finish,
        prompt_tokens=given,
        output_tokens=count(field(usage.completion_tokens)) or 0,
        top_tokens=_alternatives(logprobs),
        prefill=_echoed(logprobs)[:given] if echo else (),
        system=short(field(response.system_fingerprint), 80),
        thought=outside.text(said.thought),
        notes=tuple(dict.fromkeys((*notes, *said.notes))),
    )


def _alternatives(logprobs: _Logprobs) -> list[Token]:
    try:
        if is_filled(logprobs.content) and (places := read(logprobs.content, list[_Place])):
            # chat, and llama.cpp everywhere
            return [_token(one.token, one.logprob) for one in places[0].top_logprobs]
        if is_filled(logprobs.top_logprobs):
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
