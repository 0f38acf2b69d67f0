"""Tries a model before a run begins: one short request to each endpoint, and what to do when it fails."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.catalog import registry
from harness.catalog.models import Entry, Kind, known
from harness.errors import HarnessError, RequestRejected, TokenBoundaryError, UsageError
from harness.models.api import Call, Model
from harness.models.clients.base import BaseModel
from harness.models.clients.identity import most_tokens
from harness.models.clients.openai import CompletionsModel
from harness.models.clients.recognise import HELLO, KEY, key_fix, no_room_at, one_token
from harness.models.clients.transport import Transport
from harness.models.own import spoken
from harness.models.pool.faults import Fault, Refused
from harness.models.untrusted import decode, record, rows, short
from harness.types import Ask, Message

TALK = (Message("user", HELLO),)
_QUESTION = (Message("user", "Which letter is the first of the alphabet: A, B, C or D? One letter."),)
"""Asked where letters are ranked: one of them is among the likeliest tokens of any model."""

LETTERS = ("A", "B", "C", "D")
_TRIES, _PAUSE_S, _RANKING_S, _EXTRA_S = 3, 0.3, 60.0, 60.0
_NOT_THERE = (404, 405, 501)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an endpoint cannot be used, and what to do about it."""

    url: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.url} {self.what}: {self.fix}"


@dataclass(frozen=True, slots=True)
class Typed:
    """How a command names the model that is tried, for fixes.

    Attributes:
        form: the words, with `{}` in place of the model's name.
        key: the variable of its API key, where no entry and no option names one.
    """

    form: str = "--model {}"
    key: str = ""

    def __call__(self, name: str) -> str:
        return self.form.replace("{}", shlex.quote(name), 1)


async def trial(model: Model, typed: Typed | None = None) -> list[Trouble]:
    """Send each endpoint that is up a request for one token.

    An endpoint that is busy or down is no trouble as long as another answers; one that answers wrongly is.
    """
    typed = typed or Typed()
    if not isinstance(model, BaseModel) or model.entry.local:
        return []
    up = [endpoint.url for endpoint in model.pool.endpoints if endpoint.healthy]
    return [found for found in await asyncio.gather(*(_try(model, url, typed) for url in up)) if found]


def no_room(model: Model, max_new_tokens: int | None) -> list[str]:
    """Lines for endpoints that cannot generate as many tokens as the command asks for; nothing is sent."""
    if max_new_tokens is None or not isinstance(model, BaseModel):
        return []
    told = {e.url: most_tokens(model.entry, e.capabilities) for e in model.pool.endpoints if e.capabilities}
    return [line for url, most in told.items() if (line := no_room_at(url, max_new_tokens, most))]


async def refused_extra(model: Model, extra: Mapping[str, Any]) -> list[str]:
    """A line where every endpoint refuses a request with the further parameters of `--extra`.

    Args:
        model: one whose endpoints answer requests without them.
        extra: the parameters.
    """
    if not extra or (isinstance(model, BaseModel) and model.entry.local):
        return []
    told = " ".join(f"--extra {key}={json.dumps(value)}" for key, value in extra.items())
    try:
        await model.complete(Call(KEY, TALK, None, Ask(1), extra=extra, deadline_s=_EXTRA_S))
    except HarnessError as error:
        return [f"{model.name} does not answer with {told} ({error}): correct or leave it out"]
    return []


async def ranking(model: Model, fixes: Mapping[str, str]) -> list[str]:
    """Have the model rank four letters; lines for the tasks that need it when it cannot.

    Args:
        model: one whose endpoints answer.
        fixes: for each task that ranks choices, the options under which it does not.
    """
    local = isinstance(model, BaseModel) and model.entry.local
    if not fixes or local:
        return []
    if thinking := [task for task in fixes if _thinks_first(model, task)]:
        return [_thought_line(task, model, fixes[task]) for task in thinking]
    ask = Ask(1, choices=LETTERS, prefix=" Answer:")
    try:
        await model.complete(Call(KEY, _QUESTION, None, ask, deadline_s=_RANKING_S))
    except (RequestRejected, TokenBoundaryError, UsageError) as error:
        return [f"{task}: {model.name} cannot rank choices ({error}): {fix}" for task, fix in fixes.items()]
    except HarnessError as error:
        return [f"{task}: ranking choices failed ({error}): {fix}" for task, fix in fixes.items()]
    return []


def _thinks_first(model: Model, task: str) -> bool:
    """Whether the template of a task opens a thought, behind which a letter is no answer."""
    if not isinstance(model, BaseModel):
        return False
    suite = registry.load(task).spec.suite if task in registry.names() else ""
    return bool(model.prompt(Call(replace(KEY, task=task), _QUESTION, None, Ask(1), suite=suite)).opened)


def _thought_line(task: str, model: Model, fix: str) -> str:
    what = f"the template of {model.name} opens a thought (<think>), behind which no letter is an answer yet"
    return f"{task}: {what}: give --template with one that opens none, or {fix} and needs --max-new-tokens"


async def _try(model: BaseModel, url: str, typed: Typed) -> Trouble | None:
    """One endpoint; failures that may pass are given three chances."""
    entry, error = model.entry, Fault("", "")
    for attempt in range(_TRIES):
        await asyncio.sleep(_PAUSE_S * attempt)
        try:
            await _request(model, model.entry.kind, url)
            return None
        except Refused as refused:
            return await _refused(model, url, refused, typed)
        except RequestRejected as rejected:
            return Trouble(url, f"refuses a short request ({rejected})", "see its log")
        except Fault as fault:
            error = fault
            if fault.kind in ("not-json", "no-text"):
                return await _wrong_answer(model, url, fault, typed)
            if fault.kind == "overloaded":
                return None
        except HarnessError as other:
            return Trouble(url, f"cannot be used ({other})", f"correct the entry of {entry.name}")
    return Trouble(url, f"fails ({_without(error, url)})", "see its log, or leave it out")


async def _request(model: BaseModel, kind: Kind, url: str) -> None:
    """Ask for one token in a protocol's own way."""
    if kind == "tgi":
        await one_token(model.transport, kind, url, "", model.prompt(Call(KEY, TALK, None, Ask(1))).text)
        return
    name = model.served_name if isinstance(model, CompletionsModel) else model.entry.hf or model.name
    await one_token(model.transport, kind, url, name)


async def _refused(model: BaseModel, url: str, refused: Refused, typed: Typed) -> Trouble:
    entry, status = model.entry, refused.status
    if status in (401, 403):
        named = entry.api_key_env or typed.key
        fix = key_fix(named) + ("" if named else f", or {_key_entry(entry)}")
        sent = entry.api_key_env or os.environ.get(typed.key)
        what = "refuses the API key" if sent else "wants an API key"
        return Trouble(url, f"{what} ({_without(refused, url)})", fix)
    if status in _NOT_THERE or status == 400:  # transformers serve and LiteLLM refuse another name so
        served = await _served(model.transport, url)
        if entry.kind != "tgi" and served and entry.wire_name not in served:
            what = f"does not serve {entry.wire_name}, but {', '.join(served[:5])}"
            return Trouble(url, what, _use(entry, served, typed))
    if status in _NOT_THERE:
        return await _wrong_kind(model, url, f"has no {_path(entry)} ({_without(refused, url)})", typed)
    return Trouble(url, f"refuses a short request ({_without(refused, url)})", "see its log")


async def _wrong_answer(model: BaseModel, url: str, fault: Fault, typed: Typed) -> Trouble:
    """It answered 200, with something else than the protocol's."""
    page = await _page(model.transport, url)
    if page.lstrip()[:1] == b"<":
        what = "answers with a web page (HTML), not as a model server"
        return Trouble(url, what, "give the address of the server itself, without the page's path or login")
    what = f"does not answer as {_path(model.entry)} should ({_without(fault, url)})"
    return await _wrong_kind(model, url, what, typed)


async def _wrong_kind(model: BaseModel, url: str, what: str, typed: Typed) -> Trouble:
    """Find the protocol that it does speak."""
    entry = model.entry
    base = entry.name.partition("@")[0]
    kinds: dict[Kind, str] = {
        "tgi": base + ("@tgi" if "@" in entry.name else ""),
        "openai": f"{base}@openai",
        "chat": f"{base}@chat",
    }
    for kind, name in kinds.items():
        if kind == entry.kind or (kind != "chat" and not entry.template):
            continue
        try:
            await _request(model, kind, url)
        except (Fault, HarnessError):
            continue
        return Trouble(url, f"{what}; it speaks another protocol", typed(name))
    return Trouble(url, what, "check the address: it is the server's base URL, as http://host:port")


def _path(entry: Entry) -> str:
    paths = {"tgi": "TGI's /generate", "openai": "/v1/completions", "chat": "/v1/chat/completions"}
    return paths[entry.kind]


def _key_entry(entry: Entry) -> str:
    return (
        f'api_key_env = "..." in the entry of {entry.name.partition("@")[0]} in the file HARNESS_MODELS names'
    )


def _use(entry: Entry, served: Sequence[str], typed: Typed) -> str:
    if known(entry.name)[0] is None:  # no file describes it
        return typed(f"{served[0]}@{spoken(entry.kind)}")
    return f'wire_name = "{served[0]}" in the entry of {entry.name.partition("@")[0]}'


async def _served(transport: Transport, url: str) -> list[str]:
    """Models that an OpenAI server lists; none when it lists none."""
    try:
        status, body = await transport.get(f"{url}/v1/models")
        listed = rows(record(decode(body)).get("data")) if status == 200 else []
    except (Fault, ValueError):
        return []
    return [name for row in listed[:100] if (name := short(record(row).get("id")))]


async def _page(transport: Transport, url: str) -> bytes:
    try:
        return (await transport.get(url + "/"))[1][:200]
    except Fault:
        return b""


def _without(error: Exception, url: str) -> str:
    """A message without the address, which the line already begins with."""
    return str(error).replace(url, "").strip(" :")
