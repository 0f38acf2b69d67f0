"""Our transport, the text-generation package and requests, side by side against the same servers."""

import asyncio
import json
import os
import warnings

import pytest
import requests
from fault_server import TEXT, Behaviour, FaultServer, error
from openapi import check

from harness.catalog import models as catalog
from harness.errors import ContextOverflow, RequestRejected
from harness.models.api import LiveEpisodes
from harness.models.clients.answer import read_generate
from harness.models.clients.request import call_headers, parameters
from harness.models.clients.stream import Stream
from harness.models.clients.transport import Transport
from harness.models.local import loopback
from harness.models.pool.faults import Fault, classify
from harness.types import Ask, CallKey, Observation

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    text_generation = pytest.importorskip("text_generation")
    from text_generation import errors as tg

KEY = CallKey("gsm8k", "test/0", 0, 0)
PROMPT = "[INST] hello [/INST]"
BODY = {"inputs": PROMPT, "parameters": parameters(Ask(16), seed=None)}


async def ours(url, *, stream=False):
    transport = Transport(limit=8, read_s=5)
    try:
        sent = json.dumps(BODY).encode()
        if stream:
            answer = await transport.stream(
                url + "/generate_stream", sent, call_headers(KEY), Stream, max_new_tokens=16
            )
        else:
            data, said = await transport.post(url + "/generate", sent, call_headers(KEY), max_new_tokens=16)
            answer = read_generate(data, said)
        return "text", answer.text
    except Exception as fault:
        return "error", ours_class(fault)
    finally:
        await transport.close()


async def ours_streamed(url):
    return await ours(url, stream=True)


def ours_class(fault):
    if isinstance(fault, ContextOverflow | RequestRejected):
        return "validation"
    assert isinstance(fault, Fault), fault
    kinds = {
        "generation": "generation",
        "overloaded": "overloaded",
        "connection": "connection",
        "cut": "connection",
    }
    kinds |= {"incomplete_generation": "incomplete", "timeout": "connection"}
    return kinds.get(fault.kind, "unknown")


async def package(url):
    """The text-generation package's asynchronous client, whole."""
    client = text_generation.AsyncClient(url, headers=call_headers(KEY), timeout=60)
    try:
        return "text", (await client.generate(PROMPT, max_new_tokens=16)).generated_text
    except Exception as fault:
        return "error", package_class(fault)


async def package_streamed(url):
    client = text_generation.AsyncClient(url, headers=call_headers(KEY), timeout=60)
    try:
        text = None
        async for event in client.generate_stream(PROMPT, max_new_tokens=16):
            text = event.generated_text if event.generated_text is not None else text
        return ("text", text) if text is not None else ("error", "connection")
    except Exception as fault:
        return "error", package_class(fault)


def package_class(fault):
    classes = {
        tg.ValidationError: "validation",
        tg.GenerationError: "generation",
        tg.OverloadedError: "overloaded",
        tg.IncompleteGenerationError: "incomplete",
        tg.UnknownError: "unknown",
    }
    if type(fault) in classes:
        return classes[type(fault)]
    # Known deviations: it decodes every body as JSON before it looks at the status.
    if type(fault).__name__ in ("ContentTypeError", "JSONDecodeError"):
        return "unknown"
    return "connection" if isinstance(fault, OSError) or "aiohttp" in type(fault).__module__ else "pydantic"


async def blocking(url):
    """The requests package, as `harness doctor` uses it."""

    def probe():
        try:
            answer = requests.post(url + "/generate", json=BODY, headers=call_headers(KEY), timeout=60)
            if answer.status_code != 200:
                raise classify(answer.status_code, answer.content)
            return "text", read_generate(answer.content, answer.headers).text
        except requests.RequestException:
            return "error", "connection"
        except Exception as fault:
            return "error", ours_class(fault)

    return await asyncio.to_thread(probe)


CLIENTS = {c.__name__: c for c in (ours, ours_streamed, package, package_streamed, blocking)}
TABLE = {
    "ok": (Behaviour(), ("text", TEXT)),
    "ok, no details": (Behaviour(details=False), ("text", TEXT)),
    "429": (error(429, "Model is overloaded", "overloaded"), ("error", "overloaded")),
    "424": (error(424, "Request failed", "generation"), ("error", "generation")),
    "500": (error(500, "Incomplete generation", "incomplete_generation"), ("error", "incomplete")),
    "422": (error(422, "`top_p` must be > 0.0 and < 1.0", "validation"), ("error", "validation")),
    "422 length": (error(422, "`inputs` must have less than 9 tokens. Given: 10", "validation"),
                   ("error", "validation")),
    "422 template": (error(422, "Template error", "template_error"), ("error", "validation")),
    "422 plain": (Behaviour(422, b"missing field `inputs`", "text/plain"), ("error", "validation")),
    "502 html": (Behaviour(502, b"<html>", "text/html"), ("error", "unknown")),
    "503": (error(503, "unhealthy", "healthcheck"), ("error", "unknown")),
    "200 html": (Behaviour(200, b"<html>", "text/html"), ("error", "unknown")),
    "drop": (Behaviour(drop="connect"), ("error", "connection")),
    "drop in body": (Behaviour(drop="body"), ("error", "connection")),
    "in stream 429": (error(200, "Model is overloaded", "overloaded", stream=True), ("error", "overloaded")),
    "in stream 422": (error(200, "bad", "validation", stream=True), ("error", "validation")),
    "in stream 424": (error(200, "bad", "generation", stream=True), ("error", "generation")),
}  # fmt: skip
# What the package does otherwise, and why it is not what carries the load.
DEVIATIONS = {
    ("ok, no details", "package"): ("error", "pydantic"),
    ("200 html", "package_streamed"): ("error", "connection"),
    ("drop in body", "package_streamed"): ("error", "unknown"),
    ("in stream 429", "package"): ("error", "pydantic"),
    ("in stream 422", "package"): ("error", "pydantic"),
    ("in stream 424", "package"): ("error", "pydantic"),
    ("422 template", "package"): ("error", "unknown"),
    ("422 template", "package_streamed"): ("error", "unknown"),
    ("422 plain", "package"): ("error", "unknown"),
    ("422 plain", "package_streamed"): ("error", "unknown"),
}


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS.keys())
@pytest.mark.parametrize("row", TABLE.keys())
async def test_all_clients_see_the_same(row, client):
    behaviour, expected = TABLE[row]
    async with FaultServer(default=behaviour) as server:
        assert await client(server.url) == DEVIATIONS.get((row, client.__name__), expected)
        assert len(server.seen) == 1


class Gold:
    async def reply(self, observation):
        return "The answer is 42\u0d3f \U0001f600"


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS.keys())
async def test_all_clients_hear_the_oracle(client):
    live = LiveEpisodes()
    live.put(KEY.task, KEY.sample, 0, Gold(), Observation())
    async with loopback.serve(catalog.find("oracle"), live) as url:
        assert await client(url) == ("text", "The answer is 42\u0d3f \U0001f600")


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS.keys())
async def test_all_clients_hear_a_replay(client, tmp_path):
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"task": KEY.task, "sample": KEY.sample, "replies": ["one"]}))
    async with loopback.serve(catalog.find(f"replay:{file}"), LiveEpisodes()) as url:
        assert await client(url) == ("text", "one")


@pytest.mark.skipif("HARNESS_TGI_URL" not in os.environ, reason="set HARNESS_TGI_URL to a running TGI")
async def test_all_clients_agree_on_a_real_server():
    url = os.environ["HARNESS_TGI_URL"].rstrip("/")
    answers = {name: await client(url) for name, client in CLIENTS.items()}
    assert {kind for kind, _ in answers.values()} == {"text"}, answers
    assert len(set(answers.values())) == 1, answers


ASKS = {
    "greedy": Ask(128),
    "stops": Ask(128, stop=("a", "b", "c", "d", "e")),
    "sampled": Ask(512, temperature=1.0, top_p=0.9),
    "truncated": Ask(128, truncate=3968),
    "choices": Ask(1, choices=(" A", " B", " C", " D")),
    "words": Ask(1, choices=("yes (sure)", "no|never")),
}


@pytest.mark.parametrize("name", ASKS)
async def test_requests_and_answers_fit_tgis_own_schema(name, openapi):
    from harness.models.api import Call, Options
    from harness.models.connect import open_model
    from harness.types import Message

    tops = [{"id": 1, "text": "B" if name == "choices" else "no|never", "logprob": -0.1, "special": False}]
    async with FaultServer(
        default=Behaviour(top_tokens=tops), text="B" if name == "choices" else "no|never"
    ) as server:
        for stream in (False, True):
            options = Options(stream=stream)
            async with open_model("agentlm-7b", endpoints=[server.url], options=options) as model:
                await model.complete(
                    Call(KEY, (Message("user", "x"),), None, ASKS[name], seed=7, suite="held-in")
                )
        for seen in server.seen:
            check(openapi, "GenerateRequest", seen.data)
            sent = seen.data["parameters"]
            assert {"max_new_tokens", "do_sample", "details"} <= set(sent)
            assert ("seed" in sent) == (name == "sampled") == sent["do_sample"] == ("temperature" in sent)
            assert len(sent.get("stop", [])) <= 4


async def test_loopback_answers_fit_tgis_own_schema(openapi):
    live = LiveEpisodes()
    live.put(KEY.task, KEY.sample, 0, Gold(), Observation())
    async with loopback.serve(catalog.find("oracle"), live) as url:

        def ask():
            whole = requests.post(url + "/generate", json=BODY, headers=call_headers(KEY), timeout=60).json()
            listed = requests.post(url + "/", json=BODY, headers=call_headers(KEY), timeout=60).json()
            stream = requests.post(
                url + "/generate_stream", json=BODY, headers=call_headers(KEY), timeout=60
            ).content
            refused = requests.post(url + "/generate", json=BODY, timeout=60)
            tokens = requests.post(url + "/tokenize", json=BODY, timeout=60).json()
            info = requests.get(url + "/info", timeout=60).json()
            return whole, listed, json.loads(stream[5:]), refused, tokens, info

        whole, listed, event, refused, tokens, info = await asyncio.to_thread(ask)
        check(openapi, "GenerateResponse", whole)
        assert listed == [whole]
        check(openapi, "StreamResponse", event)
        check(openapi, "ErrorResponse", refused.json())
        check(openapi, "TokenizeResponse", tokens)
        check(openapi, "Info", info)
        assert refused.status_code == 404
