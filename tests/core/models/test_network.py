"""One network behaviour: kept connections that close, certificates, proxies, open files, and their words."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import ssl
import subprocess
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
from command import harness
from fault_server import Behaviour, FaultServer, error, write

from harness.checks.models import doctor_model
from harness.errors import EndpointError, MissingPart, UsageError
from harness.models.api import Call, Options
from harness.models.clients.broken import broken
from harness.models.connect import open_model
from harness.models.network import CA_VARIABLE, proxy_for
from harness.models.roles import RoleSpec, open_role
from harness.types import Ask, CallKey, Message

TALK = (Message("user", "hello"),)
OUTSIDE = "http://model.test:8080"
QUESTIONS = 60
FASTER = 50
"""Seconds of the pool's clock in one."""


def call(number=0, deadline_s=60.0):
    return Call(CallKey("gsm8k", f"test/{number}", 0, 0), TALK, None, Ask(4), deadline_s=deadline_s)


async def answer(selector="agentlm-7b", url="", **options):
    async with open_model(selector, endpoints=[url], options=Options(**options)) as model:
        return await model.complete(call())


async def doctor(selector, url):
    return await asyncio.to_thread(doctor_model, selector, [url])


async def refusal(url):
    """What a run says of an endpoint that cannot be reached; doctor and judge must say the same."""
    with pytest.raises(MissingPart) as run:
        await answer(url=url)
    with pytest.raises(MissingPart) as judge:
        async with open_role(RoleSpec("judge", "other", (url,))):
            pass
    (finding,) = await doctor("agentlm-7b", url)
    assert finding.level == "fail"
    return str(run.value), str(judge.value), f"{finding.state}: {finding.fix}"


class HangsUp(FaultServer):
    """Closes a kept connection just when the next request has arrived on it, as an idle limit does."""

    hung = 0

    async def answer(self, seen, reader, writer):
        if getattr(writer, "answered", False):
            self.hung += 1
            return False
        writer.answered = True
        return await super().answer(seen, reader, writer)


async def test_a_kept_connection_that_the_server_closed_costs_nothing():
    async with HangsUp() as server, open_model("agentlm-7b", endpoints=[server.url]) as model:
        replies = [await model.complete(call(n)) for n in range(QUESTIONS)]
        (endpoint,) = model.pool.endpoints
    assert server.hung >= QUESTIONS, "the server did close connections"
    assert [reply.attempts for reply in replies] == [1] * QUESTIONS
    assert not endpoint.faults and not endpoint.ejections


async def test_a_new_connection_that_the_server_drops_counts():
    # The first request finds the connection of the survey, and is sent again over a new one.
    script = [Behaviour(drop="connect")] * 2
    async with (
        FaultServer(script=script) as server,
        open_model("agentlm-7b", endpoints=[server.url]) as model,
    ):
        reply = await model.complete(call())
        (endpoint,) = model.pool.endpoints
    assert (reply.attempts, endpoint.faults["connection"]) == (2, 1)


class Encrypted(FaultServer):
    """Speaks TLS with the certificate of a folder."""

    folder = None

    async def start(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "cert.pem", self.folder / "key.pem")
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 26, ssl=context)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made += ["-days", "2", "-subj", "/CN=private", "-addext", "subjectAltName=IP:127.0.0.1"]
    made += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    return folder


@pytest.fixture
def encrypted(certificate, monkeypatch):
    for name in (CA_VARIABLE, "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    server = Encrypted()
    server.folder = certificate
    return server


async def test_a_private_certificate_is_named_by_all_commands_alike(encrypted):
    async with encrypted as server:
        for told in await refusal(server.url):
            assert "its certificate is not trusted (self-signed certificate): give --ca FILE" in told
            assert "start" not in told and "docker" not in told


async def test_a_private_certificate_is_trusted_when_it_is_given(encrypted, monkeypatch):
    file = str(encrypted.folder / "cert.pem")
    async with encrypted as server:
        for name in (CA_VARIABLE, "SSL_CERT_FILE"):
            monkeypatch.setenv(name, file)
            assert (await answer(url=server.url)).text
            monkeypatch.delenv(name)
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
        assert "SSL_CERT_FILE names /nowhere.pem, which is not there" in (await refusal(server.url))[0]


async def test_ca_is_typed_behind_the_commands(encrypted, tmp_path):
    async with encrypted as server:
        words = ("doctor", "--model", "agentlm-7b", "--endpoint", server.url, "--ca")
        good = await asyncio.to_thread(harness, tmp_path, *words, str(encrypted.folder / "cert.pem"))
        lost = await asyncio.to_thread(harness, tmp_path, *words, "nowhere.pem")
    assert "serves THUDM/agentlm-7b" in good.stdout
    assert lost.returncode == 2 and "nowhere.pem" in lost.stderr and "does not exist" in lost.stderr
    for command in ("run", "judge"):
        assert "--ca" in harness(tmp_path, command, "--help").stdout


async def test_a_certificate_for_another_name_is_not_for_ca(encrypted, monkeypatch):
    monkeypatch.setenv(CA_VARIABLE, str(encrypted.folder / "cert.pem"))
    async with encrypted as server:
        told, _, _ = await refusal(server.url.replace("127.0.0.1", "localhost"))
    assert "certificate is not valid" in told and "localhost" in told and "--ca" not in told


async def test_https_to_a_plain_server_says_so():
    async def refuse(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        told, _, _ = await refusal(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert "no encrypted connection" in told and "write http://" in told


async def test_https_to_a_server_that_waits_for_more_says_so():
    """llama.cpp reads on until a line ends, which the bytes of https never do."""
    url = "https://127.0.0.1:1/info"
    for broke, told in ((TimeoutError(), True), (aiohttp.ClientPayloadError("cut"), False)):
        assert ("write http://" in str(broken(broke, url, waited_s=1, proxy=None))) is told
    plain = broken(TimeoutError(), url.replace("https", "http"), waited_s=1, proxy=None)
    assert "write http://" not in str(plain)


@pytest.mark.parametrize(("text", "says"), [("no pem", "holds no certificate"), (None, "cannot be read")])
async def test_a_ca_file_that_is_none(text, says, tmp_path, monkeypatch):
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv(CA_VARIABLE, str(file))
    with pytest.raises(UsageError, match=says):
        await answer(url="https://127.0.0.1:1")
    assert [finding.level for finding in await doctor("agentlm-7b", "https://127.0.0.1:1")] == ["fail"]


class Proxy(FaultServer):
    """An HTTP proxy that answers for the server behind it, once it knows who asks."""

    wants = ""

    async def answer(self, seen, reader, writer):
        if self.wants and seen.headers.get("proxy-authorization") != self.wants:
            return await write(writer, Behaviour(407), b"who are you?")
        if not seen.path.startswith(OUTSIDE):
            return await write(writer, Behaviour(403), b"not through here")
        seen.path = seen.path.removeprefix(OUTSIDE)
        return await super().answer(seen, reader, writer)


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


async def test_an_endpoint_behind_a_proxy_is_reached_by_all_commands(no_proxies):
    async with Proxy() as proxy:
        no_proxies.setenv("HTTP_PROXY", proxy.url)
        assert (await answer(url=OUTSIDE)).text
        assert "fail" not in [finding.level for finding in await doctor("agentlm-7b", OUTSIDE)]
        said = {"choices": [{"message": {"content": "7"}, "finish_reason": "stop"}]}
        proxy.default = Behaviour(body=json.dumps(said).encode())
        async with open_role(RoleSpec("judge", "m", (OUTSIDE,))) as judge:
            assert (await judge.complete(call())).text == "7"


async def test_a_proxy_that_wants_a_password_gets_it_and_nobody_sees_it(no_proxies):
    async with Proxy() as proxy:
        proxy.wants = "Basic bWU6cGFzc3dvcmQtNzc="
        no_proxies.setenv("http_proxy", proxy.url)
        told = await refusal(OUTSIDE)
        assert all(f"the proxy {proxy.url} (http_proxy) wants a user and a password" in text for text in told)
        no_proxies.setenv("http_proxy", proxy.url.replace("//", "//me:password-77@"))
        assert (await answer(url=OUTSIDE)).text
        assert "password-77" not in repr(proxy_for(OUTSIDE))
        no_proxies.setenv("https_proxy", proxy.url)
        told = await refusal(OUTSIDE.replace("http:", "https:"))
        assert all("wants a user and a password" in text for text in told)


async def test_a_dead_proxy_is_named_and_never_used_for_this_machine(no_proxies):
    for dead in ("http://proxy.invalid:3128", "http://127.0.0.1:9"):
        no_proxies.setenv("HTTP_PROXY", dead)
        for told in await refusal(OUTSIDE):
            assert f"cannot reach the proxy {dead} (HTTP_PROXY)" in told and "NO_PROXY" in told
    async with FaultServer() as server:
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            assert (await answer(url=url)).text
            assert "fail" not in [finding.level for finding in await doctor("agentlm-7b", url)]


def test_which_proxy_is_used(no_proxies):
    no_proxies.setenv("ALL_PROXY", "gate:3128")
    no_proxies.setenv("NO_PROXY", "inside.test,10.0.0.0/8")
    assert proxy_for("http://model.test:1").url == "http://gate:3128"
    assert proxy_for("http://a.inside.test:1") is proxy_for("http://10.1.2.3:1") is None
    assert proxy_for("http://[::1]:1") is proxy_for("http://127.9.9.9:1") is None
    no_proxies.setenv("https_proxy", "http://[fd00::1]:80")
    assert proxy_for("https://model.test").url == "http://[fd00::1]:80"
    for odd in ("socks5://gate:1080", "http://gate:port", "http://"):
        no_proxies.setenv("https_proxy", odd)
        with pytest.raises(UsageError, match="https_proxy names no HTTP proxy"):
            proxy_for("https://model.test")


@contextmanager
def no_more_files():
    """Let this process open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(one.name) for one in Path("/proc/self/fd").iterdir())
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, hard))
    try:
        while True:
            held.append(os.dup(2))
    except OSError:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in held:
            os.close(one)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_too_many_open_files_are_ours_and_eject_nobody(host):
    async with FaultServer() as server:
        url = server.url.replace("127.0.0.1", host)
        async with open_model("agentlm-7b", endpoints=[url], options=Options(time_scale=100)) as model:
            (endpoint,) = model.pool.endpoints
            with no_more_files():
                # One kept connection is there from the survey; the second request needs a new one.
                server.default = Behaviour(stall="headers")
                stuck = asyncio.create_task(model.complete(call(1, 3000)))
                await server.arrived.wait()
                with pytest.raises(EndpointError, match="too many open files here: raise it"):
                    await model.complete(call(2, deadline_s=300))
            assert endpoint.healthy and not endpoint.ejections and endpoint.faults["files"] >= 3
            stuck.cancel()
            server.default = Behaviour()
            assert (await model.complete(call(3, 6000))).text


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (error(429, "Model is overloaded", "overloaded"), "answered 429 (overloaded): Model is overloaded"),
        (error(424, "no generation", "generation"), "answered 424 (generation): no generation"),
        (Behaviour(503, b"no healthy upstream", "text/plain"), "answered 503: no healthy upstream"),
        (Behaviour(200, b"<html>login</html>", "text/html"), "200"),
        (Behaviour(stall="headers"), "sent nothing for"),
    ],
    ids=["429", "424", "503", "no answer", "silence"],
)
async def test_every_long_pause_names_its_cause(fault, words, caplog):
    # A server that does answer may take longer than that on a loaded machine, which would be another cause.
    options = Options(time_scale=FASTER, read_s=0.05 if fault.stall else 30.0)
    async with (
        FaultServer(default=fault) as server,
        open_model("agentlm-7b", endpoints=[server.url], options=options) as model,
    ):
        both = (model.complete(call(n, deadline_s=100)) for n in range(8))
        assert all(isinstance(e, EndpointError) for e in await asyncio.gather(*both, return_exceptions=True))
    records = [record for record in caplog.records if "waits since" in record.getMessage()]
    told = [record.getMessage() for record in records]
    assert told and all(server.url in line and words in line and "next try in" in line for line in told)
    pauses = [(b.created - a.created) * FASTER for a, b in pairwise(records)]
    assert all(pause > 59 for pause in pauses), "requests that wait for one reason tell it once a minute"
