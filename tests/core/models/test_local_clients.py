"""Four clients of TGI get the same texts and classes of errors from a local model as from the tests' server.

HARNESS_TGI_URL names a server to be asked instead of the local model, a real TGI for one.
"""

from __future__ import annotations

import asyncio
import json
import os
import warnings
from contextlib import asynccontextmanager

import pytest
from fault_server import FaultServer, error
from local_server import asked, local
from tiny_model import needed, write_tiny

from harness.models.clients.answer import read_generate
from harness.models.clients.stream import Stream
from harness.models.clients.transport import Transport

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    text_generation = needed("text_generation")
    hub = needed("huggingface_hub")

PROMPT, ROOM, WAIT_S = "Question: how many apples? Answer:", 12, 120


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny"), positions=4096)


class Refused(Exception):
    """What curl was answered instead of a text."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


async def ours(url, prompt, room, *, stream):
    transport = Transport(limit=4, read_s=WAIT_S)
    body = {"inputs": prompt, "parameters": {"max_new_tokens": room, "do_sample": False, "details": True}}
    sent = json.dumps(body).encode()
    try:
        if stream:
            path = f"{url}/generate_stream"
            return (await transport.stream(path, sent, {}, Stream, max_new_tokens=room)).text
        data, said = await transport.post(f"{url}/generate", sent, {}, max_new_tokens=room)
        return read_generate(data, said).text
    finally:
        await transport.close()


async def package(url, prompt, room, *, stream):
    client = text_generation.AsyncClient(url, timeout=WAIT_S)
    if stream:
        answers = [one async for one in client.generate_stream(prompt, max_new_tokens=room)]
        return answers[-1].generated_text
    return (await client.generate(prompt, max_new_tokens=room)).generated_text


async def hubs(url, prompt, room, *, stream):
    async with hub.AsyncInferenceClient(url, timeout=WAIT_S) as client:
        asked = {"max_new_tokens": room, "do_sample": False, "details": True}
        if stream:
            found = await client.text_generation(prompt, stream=True, **asked)
            return [one async for one in found][-1].generated_text
        return (await client.text_generation(prompt, **asked)).generated_text


async def curl(url, prompt, room, *, stream):
    body = {"inputs": prompt, "parameters": {"max_new_tokens": room, "do_sample": False}}
    words = ["curl", "-sS", "-m", str(WAIT_S), "-H", "Content-Type: application/json", "--data-binary", "@-"]
    path = "/generate_stream" if stream else "/generate"
    process = await asyncio.create_subprocess_exec(
        *words,
        *("-w", "\n%{http_code}", url + path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(json.dumps(body).encode())
    answer, _, status = out.decode().rpartition("\n")
    told = json.loads(answer.strip().rpartition("data:")[2])
    if "error" in told:
        raise Refused(f"{status} {told['error_type']}")
    return told["generated_text"]


CLIENTS = {"ours": ours, "text-generation": package, "huggingface_hub": hubs, "curl": curl}


async def outcome(name, url, prompt=PROMPT, *, stream):
    """The text that a client gets, or the class of its error."""
    try:
        return "text", await CLIENTS[name](url, prompt, ROOM, stream=stream)
    except Exception as found:
        return type(found).__name__, getattr(found, "kind", "")


@asynccontextmanager
async def asked_server(tiny):
    """The address of the server under test."""
    if named := os.environ.get("HARNESS_TGI_URL"):
        yield named.rstrip("/")
        return
    async with local(tiny) as found:
        yield found.url


@asynccontextmanager
async def busy_server(tiny):
    """One that takes no more requests."""
    async with local(tiny, concurrent=1) as found:
        body = asked("apples", {"max_new_tokens": 4000})  # greedily it never ends
        async with found.session.post(found.url + "/generate_stream", json=body):
            yield found.url


@asynccontextmanager
async def failing_server(tiny):
    """One whose model gives no numbers."""
    async with local(tiny) as found:
        with needed("torch").no_grad():
            found.service.loaded.model.get_input_embeddings().weight.fill_(float("nan"))
        yield found.url


STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
ERRORS = {
    "too long": (
        asked_server,
        "apples " * 30_000,
        (422, "`inputs` must have less than 4096 tokens. Given: 30001", "validation"),
        ("ContextOverflow", "ValidationError", "ValidationError"),
    ),
    "overloaded": (
        busy_server,
        PROMPT,
        (429, "Model is overloaded", "overloaded"),
        ("Fault", "OverloadedError", "OverloadedError"),
    ),
    "failed": (
        failing_server,
        PROMPT,
        (424, "Request failed during generation", "generation"),
        ("Fault", "GenerationError", "GenerationError"),
    ),
}


@STREAMED
async def test_all_clients_get_one_text_as_from_the_tests_server(tiny, stream):
    async with asked_server(tiny) as url:
        texts = {name: await outcome(name, url, stream=stream) for name in CLIENTS}
    kind, text = texts["ours"]
    assert kind == "text" and text
    async with FaultServer(text=text) as reference:
        assert texts == {name: await outcome(name, reference.url, stream=stream) for name in CLIENTS}
    assert set(texts.values()) == {("text", text)}


@STREAMED
@pytest.mark.parametrize("row", ERRORS)
async def test_each_client_reads_an_error_as_from_the_tests_server(tiny, row, stream):
    server, prompt, told, classes = ERRORS[row]
    if server is not asked_server and os.environ.get("HARNESS_TGI_URL"):
        pytest.skip("nothing that is asked makes a server overloaded or its model fail")
    async with server(tiny) as url:
        found = {name: await outcome(name, url, prompt, stream=stream) for name in CLIENTS}
    async with FaultServer(default=error(*told, stream=stream)) as reference:
        expected = {name: await outcome(name, reference.url, prompt, stream=stream) for name in CLIENTS}
    assert found == expected
    assert tuple(kind for kind, _ in found.values()) == (*classes, "Refused")
