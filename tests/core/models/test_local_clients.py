"""Four clients of TGI against a local model: the same texts, and each one's own class of every error.

HARNESS_TGI_URL names a server to be asked instead, a real TGI for one.
"""

from __future__ import annotations

import asyncio
import json
import os
import warnings
from contextlib import asynccontextmanager

import pytest
from local_server import local
from tiny_model import needed, write_tiny

from harness.models.clients.answer import read_generate
from harness.models.clients.stream import Stream
from harness.models.clients.transport import Transport

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    text_generation = needed("text_generation")
    hub = needed("huggingface_hub")

PROMPT, ROOM = "Question: how many apples? Answer:", 12


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@asynccontextmanager
async def server(tiny, **settings):
    """The address of the server under test."""
    if named := os.environ.get("HARNESS_TGI_URL"):
        yield named
        return
    async with local(tiny, **settings) as found:
        yield found.url


async def ours(url, prompt, room, *, stream):
    transport = Transport(limit=4, read_s=30)
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
    client = text_generation.AsyncClient(url, timeout=30)
    if stream:
        answers = [one async for one in client.generate_stream(prompt, max_new_tokens=room)]
        return answers[-1].generated_text
    return (await client.generate(prompt, max_new_tokens=room)).generated_text


async def hubs(url, prompt, room, *, stream):
    async with hub.AsyncInferenceClient(url, timeout=30) as client:
        asked = {"max_new_tokens": room, "do_sample": False, "details": True}
        if stream:
            found = await client.text_generation(prompt, stream=True, **asked)
            return [one async for one in found][-1].generated_text
        return (await client.text_generation(prompt, **asked)).generated_text


async def curl(url, prompt, room, *, stream):
    body = {"inputs": prompt, "parameters": {"max_new_tokens": room, "do_sample": False}}
    words = ["curl", "-sSf", "-m", "30", "-H", "Content-Type: application/json", "-d", json.dumps(body)]
    path = "/generate_stream" if stream else "/generate"
    process = await asyncio.create_subprocess_exec(*words, url + path, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise OSError(f"curl ended with {process.returncode}")
    return json.loads(out.strip().rpartition(b"data:")[2])["generated_text"]


CLIENTS = {"ours": ours, "text-generation": package, "huggingface_hub": hubs, "curl": curl}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_all_clients_get_one_text(tiny, stream):
    async with server(tiny) as url:
        texts = {name: await ask(url, PROMPT, ROOM, stream=stream) for name, ask in CLIENTS.items()}
    assert len(set(texts.values())) == 1 and texts["ours"], texts


REFUSALS = {
    "ours": "ContextOverflow",
    "text-generation": "ValidationError",
    "huggingface_hub": "ValidationError",
    "curl": "OSError",
}


@pytest.mark.parametrize("name", CLIENTS)
async def test_each_client_reads_a_refusal_as_its_own_error(tiny, name):
    async with server(tiny) as url:
        with pytest.raises(Exception, match=r".") as raised:
            await CLIENTS[name](url, "apples " * 30_000, 8, stream=False)
    assert type(raised.value).__name__ == REFUSALS[name], raised.value
