"""Finds out what a server speaks and what it serves, for a model that no file describes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from harness.catalog.models import Entry, Kind
from harness.errors import ContextOverflow, MissingPart, UsageError
from harness.models import outside, own
from harness.models.clients.answer import read_generate
from harness.models.clients.build import api_key, base_url
from harness.models.clients.identity import most_tokens
from harness.models.clients.openai_wire import read_completion, translate
from harness.models.clients.probe import asked_once, from_info, patiently, surveyed
from harness.models.clients.request import call_headers, parameters
from harness.models.clients.transport import Transport
from harness.models.own import Given, spoken
from harness.models.pool.capabilities import Capabilities
from harness.models.pool.faults import Fault, Refused, classify
from harness.types import Ask, CallKey

log = logging.getLogger(__name__)

KEY = CallKey("doctor", "probe", 0, 0)
HELLO = "Say hello."
KINDS: tuple[Kind, ...] = ("tgi", "openai", "chat")
"""The protocols, best first: the first two are sent prompts of our own template."""

_PAUSE_S = 0.3
_KEY_REFUSED = (401, 403)


@dataclass(frozen=True, slots=True)
class Recognised:
    """A model under test as its server was found.

    Attributes:
        model: its name.
        endpoints: base URLs of its replicas.
        given: what the command says of it, with the protocol.
    """

    model: str
    endpoints: tuple[str, ...]
    given: Given


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command asks for: the model, if named, the most tokens of a reply, whether one must answer."""

    model: str
    max_new_tokens: int | None
    must_answer: bool


@dataclass(frozen=True, slots=True)
class _Server:
    """One server.

    Attributes:
        kinds: the protocols that it speaks, best first.
        name: what it calls its model.
        able: what it told of itself.
    """

    url: str
    kinds: tuple[Kind, ...]
    name: str
    able: Capabilities


def recognise(
    model: str,
    endpoints: Sequence[str],
    given: Given,
    max_new_tokens: int | None = None,
    *,
    must_answer: bool = False,
) -> Recognised:
    """Ask the servers of a model that no file describes for their protocol and, without a name, for its name.

    A model that has an entry, or whose protocol is typed, is returned as it was given, unasked.

    Args:
        model: as after `--model`; empty when it was not given.
        endpoints: base URLs.
        given: what else the command says of the model.
        max_new_tokens: what it will ask for; refused before anything is sent where it cannot be generated.
        must_answer: no answer is an error, where else a named model's protocol is guessed.

    Raises:
        UsageError: neither name nor server are given; the servers do not agree; what they speak needs a
            template; they serve several models, none of that name.
        MissingPart: the variable of the API key is not set, or no server answers and one must, or there is no
            name.
    """
    if not model and not endpoints:
        raise UsageError("give --model NAME, or --endpoint URL alone for the model that it serves")
    key = api_key(Entry(model or "the server", "chat", api_key_env=own.key_variable(given)))
    if model and not (endpoints and own.is_undescribed(model)):
        return Recognised(model, tuple(endpoints), given)
    urls = dict.fromkeys(base_url(Entry("", "openai"), url) for url in endpoints)
    return asyncio.run(_recognise(_Asked(model, max_new_tokens, must_answer), tuple(urls), given, key))


def no_room_at(url: str, asked: int | None, most: int) -> str:
    """Why a server cannot generate as much as is asked for; empty when it may (`most` 0: it does not say)."""
    if asked is None or not most or asked < most:
        return ""
    return f"--max-new-tokens {asked}: {url} takes {most} tokens in all, with the prompt; give fewer"


def key_fix(variable: str) -> str:
    """What to do about a refused API key, which came from a variable or was not sent at all."""
    if variable:
        return f"export {variable}=... with the right key"
    return f"give --api-key-env VAR, the variable that holds its key, or export {own.API_KEY}=..."


async def one_token(transport: Transport, kind: Kind, url: str, name: str, prompt: str = HELLO) -> None:
    """Ask a server for one token in a protocol's own way.

    Raises:
        Fault: it does not answer, or not in this protocol.
        HarnessError: it refuses.
    """
    sent = parameters(Ask(1), seed=None)
    if kind == "tgi":
        path, body = "/generate", {"inputs": prompt, "parameters": sent}
    elif kind == "chat":
        messages = [{"role": "user", "content": prompt}]
        path, body = "/v1/chat/completions", {"model": name, "messages": messages} | translate(sent)
    else:
        path, body = "/v1/completions", {"model": name, "prompt": prompt} | translate(sent)
    encoded = msgspec.json.encode(body)
    data, headers = await transport.post(url + path, encoded, call_headers(KEY), max_new_tokens=1)
    if kind == "tgi":
        read_generate(data, headers, where=url + path)
    else:
        read_completion(data, where=url + path)


async def _recognise(asked: _Asked, urls: tuple[str, ...], given: Given, key: str) -> Recognised:
    transport, model = Transport(limit=len(urls), token=key), asked.model
    try:
        found = await asyncio.gather(
            *(patiently(partial(_ask, transport, url, asked), _PAUSE_S) for url in urls)
        )
    except Refused as refused:
        raise UsageError(f"{refused}: {key_fix(own.key_variable(given))}") from refused
    finally:
        await transport.close()
    servers = [one for one in found if isinstance(one, _Server)]
    if not servers and (asked.must_answer or not model):
        raise MissingPart(
            f"no endpoint answers ({found[0]}); start one (docker/README.md), or correct --endpoint"
        )
    if not servers:  # a run that is complete needs none; any other is told so when its endpoints are surveyed
        return Recognised(model, urls, replace(given, kind="tgi" if given.template else "chat"))
    model = model or servers[0].name
    kind = _chosen(servers, model, given)
    for server in servers:
        surveyed.put((server.url, kind), from_info(server.able.info) if kind == "tgi" else server.able)
        others = [spoken(one) for one in server.kinds if one != kind]
        also = f" (and {', '.join(others)}, which --model NAME@{others[0]} takes)" if others else ""
        served = f", and serves {outside.line(server.name)}" if server.name != model else ""
        log.info("%s speaks %s%s%s", server.url, spoken(kind), also, served)
    return Recognised(model, urls, replace(given, kind=kind, wire_name=servers[0].name))


def _chosen(servers: Sequence[_Server], model: str, given: Given) -> Kind:
    """The protocol in which a model is asked."""
    common: list[Kind] = [kind for kind in KINDS if all(kind in server.kinds for server in servers)]
    if not common:
        each = "; ".join(f"{one.url} speaks {', '.join(map(spoken, one.kinds))}" for one in servers)
        raise UsageError(f"the endpoints have no protocol in common ({each}): give only those of one kind")
    if common[0] == "chat":
        return "chat"
    if not given.template:
        speaks = f"{servers[0].url} speaks {spoken(common[0])}"
        raise UsageError(own.without_template(model, speaks, chat="chat" in common))
    return common[0]


async def _ask(transport: Transport, url: str, asked: _Asked) -> _Server:
    able = await asked_once(transport, url, openai=True)
    if able.version:
        native = from_info(able.info)
        return _Server(url, ("tgi", "chat") if native.chat else ("tgi",), native.model_id, able)
    served = [one for one in able.model_id.split(",") if one]
    if not (served or asked.model):
        await _check_key(transport, f"{url}/v1/models")
    name = _name(url, served, asked.model)
    most = most_tokens(Entry(name, "openai", wire_name=name), able)
    if line := no_room_at(url, asked.max_new_tokens, most):
        raise UsageError(line)
    refusals: list[str] = []
    kinds: list[Kind] = []
    for kind in KINDS[1:]:
        if refusal := await _refusal(transport, kind, url, name):
            refusals.append(refusal)
        else:
            kinds.append(kind)
    if not kinds:
        raise UsageError(
            f"{url} is not recognised as a model server ({'; '.join(refusals)}): give its base URL, as "
            "http://host:port, or the protocol that it speaks, as --model NAME@tgi, @completions or @chat"
        )
    return _Server(url, tuple(kinds), name, able)


async def _check_key(transport: Transport, url: str) -> None:
    """Raise the refusal of a server that wants another API key before it says what it serves."""
    status, body = await transport.get(url)
    if status in _KEY_REFUSED:
        raise classify(status, body, where=url)


def _name(url: str, served: Sequence[str], model: str) -> str:
    """What a server calls the model: the name that was typed, or the only one it serves."""
    if model in served or (model and not served):
        return model
    if len(served) == 1:
        return served[0]
    if not served:
        raise UsageError(f"{url} does not say which model it serves: give --model NAME")
    listed = outside.line(", ".join(served[:5]) + (", ..." if len(served) > 5 else ""))
    raise UsageError(f"{url} serves {listed}{f', not {model}' if model else ''}: give one of them as --model")


async def _refusal(transport: Transport, kind: Kind, url: str, name: str) -> str:
    """Why a server does not answer in a protocol; empty when it does.

    Raises:
        Refused: it wants another API key.
    """
    try:
        await one_token(transport, kind, url, name)
    except Refused as refused:
        if refused.status in _KEY_REFUSED:  # about the key, whatever the protocol
            raise
        return str(refused)
    except Fault as fault:
        return "" if fault.kind == "overloaded" else str(fault)
    except ContextOverflow:
        return ""
    return ""
