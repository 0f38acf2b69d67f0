"""What `harness doctor --model` finds."""

import asyncio
import json

import pytest
from fault_server import INFO, Behaviour, FaultServer

from harness.catalog import models as catalog
from harness.checks.models import doctor_model
from harness.models.api import LiveEpisodes
from harness.models.local import loopback
from harness.types import CallKey, Observation

KEY = CallKey("doctor", "probe", 0, 0)


async def check(selector, *servers, client="tgi"):
    return await asyncio.to_thread(doctor_model, selector, [s.url for s in servers], client)


def levels(findings):
    return [finding.level for finding in findings]


class Hello:
    async def reply(self, observation):
        return "A"


@pytest.mark.parametrize("client", ["tgi", "text-generation"])
async def test_a_good_endpoint_is_all_ok(client):
    live = LiveEpisodes()
    live.put("doctor", "probe", 0, Hello(), Observation())
    async with loopback.serve(catalog.find("oracle"), live) as url:
        findings = await asyncio.to_thread(doctor_model, "oracle=agentlm-7b", [url], client)
        (wrong,) = [f for f in await asyncio.to_thread(doctor_model, "agentlm-7b", [url]) if f.level != "ok"]
    assert [finding.level for finding in findings if finding.level != "ok"] == []
    assert (wrong.level, wrong.state) == ("fail", "agentlm-7b is THUDM/agentlm-7b")
    assert wrong.fix == "--model oracle=agentlm-7b"
    assert any("with a grammar" in finding.state for finding in findings)
    assert any("package gets the same" in finding.state for finding in findings) == (
        client == "text-generation"
    )


async def test_a_dead_endpoint_fails_with_a_fix():
    server = FaultServer()
    await server.start()
    await server.stop()
    (finding,) = await check("agentlm-7b", server)
    assert finding.level == "fail" and "does not answer" in finding.state and "--endpoint" in finding.fix


async def test_different_models_and_short_contexts_are_found():
    other = {**INFO, "model_id": "x/y", "max_total_tokens": 2048, "version": "1.0.3"}
    async with FaultServer() as one, FaultServer(info=other) as two:
        findings = await check("agentlm-7b", one, two)
    text = "\n".join(finding.state for finding in findings)
    assert "different models: THUDM/agentlm-7b abc, x/y abc" in text
    assert "takes 2048 tokens" in text and "cannot tokenize" in text


async def test_replicas_of_two_checkpoints_are_refused():
    async with FaultServer() as one, FaultServer(info={**INFO, "model_sha": "next"}) as two:
        findings = await check("agentlm-7b", one, two)
    assert findings[-1].level == "fail"
    assert "different models: THUDM/agentlm-7b abc, THUDM/agentlm-7b next" in findings[-1].state


async def test_odd_servers_are_described():
    async with FaultServer(info=None, default=Behaviour(details=False)) as server:
        texts = [finding.state for finding in await check("agentlm-7b", server)]
        assert any("no usable /info" in text for text in texts) and "answers without details" in texts
        server.default = Behaviour(422, b"nope", "text/plain")
        assert "fail" in levels(await check("agentlm-7b", server))
        server.healthy, server.default = False, Behaviour(502, b"<html>", "text/html")
        assert levels(await check("agentlm-7b", server)) == ["fail"]


async def test_the_package_sees_a_failure_of_its_own():
    async with FaultServer(choose=lambda seen: Behaviour(500, b"{}") if seen.path == "/" else None) as server:
        findings = await check("agentlm-7b", server, client="text-generation")
    assert findings[-1].level == "fail" and "text-generation" in findings[-1].state


async def test_openai_servers():
    said = {"choices": [{"message": {"content": "Hello."}, "text": "Hello.", "finish_reason": "stop"}]}
    async with FaultServer(default=Behaviour(body=json.dumps(said).encode())) as server:
        assert levels(await check("m@chat", server)) == ["ok"]
        assert set(levels(await check("agentlm-7b@openai", server))) == {"ok"}
        assert levels(await check("agentlm-13b@openai", server)) == ["warn", "fail"], "a run refuses it"


def test_models_without_endpoints_have_nothing_to_check():
    assert levels(doctor_model("oracle")) == ["ok"]
    assert levels(doctor_model("nobody@chat")) == ["fail"]
