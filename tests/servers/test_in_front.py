"""nginx, haproxy and LiteLLM in front of llama.cpp's server: what they change, and say when it is gone."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace

import pytest
from asking import ask, prompts
from conftest import free_port, python_of, running, serving, write_entry

from harness.errors import ContextOverflow, EndpointError, RequestRejected
from harness.models.api import Options
from harness.models.connect import open_model
from harness.types import Ask

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("servers"), pytest.mark.timeout(600)]

NGINX = """
daemon off; error_log stderr; pid {folder}/nginx.pid;
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {url}; proxy_read_timeout 300s; }} }}
}}
"""
LITELLM = """
model_list:
  - {{model_name: {name}, litellm_params: {{model: openai/tiny, api_base: {url}/v1, api_key: none}}}}
general_settings: {{master_key: {key}}}
"""
KEY = "sk-the-key-of-a-proxy-that-a-test-starts-0123456789"
HAPROXY = """
defaults
  mode http
  retries 0
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 5ms
listen front
  bind 127.0.0.1:{port}
  server one {place}
"""


def program(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        pytest.fail(f"{name} is not there: .ci/system nginx-light haproxy installs it")
    return found


@contextmanager
def in_front(kind, url, folder):
    """Run one of them before a server; gives its URL and what makes it close its idle connections."""
    port = free_port()
    text = NGINX if kind == "nginx" else HAPROXY
    file = folder / f"{kind}.conf"
    file.write_text(text.format(folder=folder, port=port, url=url, place=url.removeprefix("http://")))
    command = [program(kind), "-c" if kind == "nginx" else "-f", file]
    with running(command, folder / f"{kind}.log", f"http://127.0.0.1:{port}/health"):

        def close_idle():
            if kind == "nginx":
                subprocess.run([*command, "-s", "reload"], check=True, capture_output=True, timeout=30)

        yield f"http://127.0.0.1:{port}", close_idle


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
async def test_connections_that_they_close_cost_nothing(kind, tiny, tmp_path, monkeypatch):
    with serving("llama", tiny, tmp_path) as server:
        write_entry(server, monkeypatch, tmp_path)
        with in_front(kind, server.url, tmp_path) as (url, close_idle):
            async with open_model("tiny", endpoints=[url]) as model:
                replies = []
                for _ in range(5):
                    replies += await ask(model, prompts(12), Ask(2), 4)
                    close_idle()
                (endpoint,) = model.pool.endpoints
    assert [reply.attempts for reply in replies] == [1] * 60 and not endpoint.faults


@pytest.mark.parametrize(("kind", "status"), [("nginx", 502), ("haproxy", 503)])
async def test_what_they_say_for_a_server_that_is_gone_is_infrastructure(
    kind, status, tiny, tmp_path, monkeypatch
):
    options = Options(time_scale=30)
    async with AsyncExitStack() as front:
        with serving("llama", tiny, tmp_path) as server:
            write_entry(server, monkeypatch, tmp_path)
            url, _ = front.enter_context(in_front(kind, server.url, tmp_path))
            model = await front.enter_async_context(open_model("tiny", endpoints=[url], options=options))
        # The server has ended, what stands in front of it has not.
        with pytest.raises(EndpointError, match=f"answered {status}"):
            await ask(model, prompts(1), Ask(2), 1)


@contextmanager
def litellm(server, folder):
    """Run LiteLLM's proxy before a server; gives its URL."""
    port = free_port()
    file = folder / "litellm.yaml"
    file.write_text(LITELLM.format(name=server.name, url=server.url, key=KEY))
    command = [python_of("litellm").with_name("litellm"), "--config", file]
    command += ["--host", "127.0.0.1", "--port", port]
    url = f"http://127.0.0.1:{port}"
    with running(command, folder / "litellm.log", f"{url}/health/liveliness"):
        yield url


async def test_litellm_hands_on_what_is_asked_and_what_the_server_behind_it_says(tmp_path, tiny, monkeypatch):
    texts, ask_ = prompts(40), Ask(12)
    with serving("llama", tiny, tmp_path) as server, litellm(server, tmp_path) as url:
        write_entry(server, monkeypatch, tmp_path)
        async with open_model("tiny", endpoints=[server.url]) as model:
            direct = [reply.text for reply in await ask(model, texts, ask_, 4)]
        async with open_model("tiny", endpoints=[url], options=Options(token=KEY)) as model:
            assert model.info["understood"]["server"] == "LiteLLM"
            assert [reply.text for reply in await ask(model, texts, ask_, 4)] == direct
            drawn = await ask(model, texts[:1] * 8, Ask(8, temperature=1.5), 4)
            assert len({reply.text for reply in drawn}) > 1, "eight seeds, which it hands on"
            with pytest.raises(ContextOverflow):
                await ask(model, ["ba " * 3000], Ask(4), 1)
        async with open_model("tiny@chat", endpoints=[url], options=Options(token=KEY)) as model:
            (reply,) = await ask(model, texts[:1], ask_, 1)
            assert reply.text and reply.prompt_tokens
        async with open_model("tiny", endpoints=[url], options=Options(token=KEY)) as model:
            model.entry = replace(model.entry, wire_name="another")
            with pytest.raises(RequestRejected, match="Invalid model name"):
                await ask(model, texts[:1], ask_, 1)
