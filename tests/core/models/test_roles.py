"""Auxiliary roles: how they are named, what they log, and what their failures are."""

import asyncio
import json
from contextlib import asynccontextmanager
from functools import partial

import pytest
from fault_server import INFO, Behaviour, FaultServer, error

from harness.episode import BaseOracle
from harness.errors import InfraError, UsageError
from harness.models.api import LiveEpisodes
from harness.models.connect import open_model
from harness.models.roles import RoleOptions, RoleSession, RoleSpec, open_role, parse_role
from harness.running.role_chats import EpisodeRoles
from harness.seeds import derive
from harness.storage.records import Attempt
from harness.types import Ask, CallKey, Message, Observation

EPISODE = CallKey("rewoo", "hotpot_qa/00", 0, 0)
TALK = (Message("user", "who?"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("judge=gpt-4@https://api.openai.com/v1", RoleSpec("judge", "gpt-4", ("https://api.openai.com/v1",))),
        ("tool_llm=a/b@http://h:1,http://h:2", RoleSpec("tool_llm", "a/b", ("http://h:1", "http://h:2"))),
        ("judge=agentlm-70b", RoleSpec("judge", "agentlm-70b")),
        ("judge=self", RoleSpec("judge", "self")),
        ("judge=gpt-4@chat@http://h", RoleSpec("judge", "gpt-4@chat", ("http://h",))),
        ("judge=replay:some/file.jsonl", RoleSpec("judge", "replay:some/file.jsonl")),
    ],
)
def test_parse_role(text, expected):
    assert parse_role(text) == expected


@pytest.mark.parametrize("text", ["judge", "=x", "judge=", "Judge=x", "my judge=x"])
def test_bad_roles_show_the_form(text):
    with pytest.raises(UsageError, match="ROLE=NAME@URL"):
        parse_role(text)


def chat(text):
    message = {"role": "assistant", "content": text}
    return Behaviour(body=json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode())


NAMED = {**INFO, "model_id": "m"}


@asynccontextmanager
async def serving(role, **how):
    """A server, and the role bound to it."""
    async with FaultServer(**how) as server, open_role(parse_role(f"{role}@{server.url}")) as model:
        yield server, model


async def test_a_role_is_asked_once_per_key_and_logged():
    logged = []
    async with serving("judge=gpt-x", default=chat("because"), info=None) as (server, model):
        bound = RoleSession("judge", model, EPISODE, log=logged.append)
        assert (await bound.ask("k1", TALK, Ask(8))).text == "because"
        assert (await bound.ask("k1", TALK, Ask(8))).text == "because"
        assert (await bound.ask("k2", "raw prompt", Ask(8))).text == "because"
    assert len(server.seen) == 2
    assert [(line.role, line.key, line.prompt) for line in logged] == [
        ("judge", "k1", "user: who?"),
        ("judge", "k2", "raw prompt"),
    ]
    assert server.seen[0].data["model"] == "gpt-x"
    assert (server.seen[0].headers["x-harness-role"], server.seen[0].headers["x-harness-part"]) == (
        "judge",
        "k1",
    )


async def test_an_attempt_keeps_what_its_roles_say_and_asks_once_per_key():
    attempt = Attempt("rewoo", 1, "hotpot_qa/00", 3)
    async with (
        serving("judge=gpt-x", default=chat("because"), info=None) as (server, judge),
        serving("tool_llm=gpt-y", default=chat("seven"), info=None) as (_, tool),
    ):
        chats = EpisodeRoles(
            attempt, {"judge": judge, "tool_llm": tool}, RoleOptions(suite="held-out", deadline_s=30.0)
        ).chats
        assert set(chats) == {"judge", "tool_llm"}
        # Two at once, as a tool that is called in parallel would ask: one request answers both.
        said = await asyncio.gather(*(chats["judge"].ask("a", TALK, Ask(8)) for _ in range(2)))
        said += [await chats["judge"].ask("b", "raw", Ask(8)), await chats["tool_llm"].ask("a", TALK, Ask(8))]
    assert [reply.text for reply in said] == ["because", "because", "because", "seven"]
    assert len(server.seen) == 2 and {seen.headers["x-harness-repeat"] for seen in server.seen} == {"3"}
    assert [(call.role, call.n, call.key, call.prompt, call.reply) for call in attempt.calls] == [
        ("judge", 0, "a", "user: who?", "because"),
        ("judge", 1, "b", "raw", "because"),
        ("tool_llm", 0, "a", "user: who?", "seven"),
    ]


async def test_a_failed_role_call_is_asked_again_and_not_logged():
    attempt = Attempt("rewoo", 1, "hotpot_qa/00", 0)
    refused = error(400, "no", "bad_request")
    async with serving("judge=gpt-x", script=[refused], default=chat("ok"), info=None) as (_, judge):
        asking = EpisodeRoles(attempt, {"judge": judge}, RoleOptions(deadline_s=30.0)).chats["judge"]
        with pytest.raises(InfraError):
            await asking.ask("a", TALK, Ask(8))
        assert attempt.calls == []
        assert (await asking.ask("a", TALK, Ask(8))).text == "ok"
    assert [call.n for call in attempt.calls] == [0]


async def test_a_role_from_the_catalogue_speaks_tgi_with_its_template():
    async with serving("tool_llm=m=llama-2-7b-chat", info=NAMED, text="hello") as (server, model):
        reply = await RoleSession("tool_llm", model, EPISODE).ask("k", TALK, Ask(8))
    assert reply.text == "hello" and server.seen[0].data["inputs"] == "[INST] who? [/INST]"


async def test_sampling_roles_get_a_seed_of_their_own_key():
    async with serving("tool_llm=m=llama-2-7b-chat", info=NAMED, text="x") as (server, model):
        for seed in (1, 1, 2):
            options = RoleOptions(partial(derive, seed))
            bound = RoleSession("tool_llm", model, EPISODE, options=options)
            await bound.ask("a", TALK, Ask(8, temperature=0.5))
            await bound.ask("b", TALK, Ask(8, temperature=0.5))
    seeds = [seen.data["parameters"]["seed"] for seen in server.seen]
    assert seeds[:2] == seeds[2:4] and len({*seeds}) == 4


async def test_a_failed_role_is_infrastructure_even_when_its_context_overflows():
    long = error(422, "`inputs` must have less than 10 tokens. Given: 11", "validation")
    async with serving("tool_llm=m=llama-2-7b-chat", info=NAMED, default=long) as (_, model):
        with pytest.raises(InfraError, match=r"role tool_llm, k: .*does not fit"):
            await RoleSession("tool_llm", model, EPISODE).ask("k", TALK, Ask(8))


class Silent(BaseOracle):
    async def reply(self, observation):
        return "the tested model's reply"


class Playing(Silent):
    async def role_reply(self, role, prompt):
        return f"{role}: {prompt[-16:]}"


async def test_self_is_the_tested_model_and_the_oracle_plays_its_roles():
    live = LiveEpisodes()
    async with open_model("oracle", live=live) as tested:
        live.put("rewoo", "hotpot_qa/00", 0, Playing(), Observation())
        async with open_role(parse_role("tool_llm=self"), tested=tested) as model:
            assert model is tested
            bound = RoleSession("tool_llm", model, EPISODE)
            said = (await bound.ask("step 1/ä", TALK, Ask(8))).text
            assert said == "tool_llm: ST] who? [/INST]"
        live.put("rewoo", "hotpot_qa/00", 0, Silent(), Observation())
        with pytest.raises(InfraError, match="does not play the role judge"):
            await RoleSession("judge", tested, EPISODE).ask("k", TALK, Ask(8))
    with pytest.raises(UsageError, match="no tested model"):
        async with open_role(parse_role("judge=self")):
            pass


async def test_replayed_roles_are_found_by_key(tmp_path):
    file = tmp_path / "r.jsonl"
    line = {"task": "rewoo", "sample": "hotpot_qa/00", "replies": ["r"], "roles": {"judge/k": "[[7]]"}}
    file.write_text(json.dumps(line))
    async with open_model(f"replay:{file}") as model:
        bound = RoleSession("judge", model, EPISODE)
        assert (await bound.ask("k", TALK, Ask(8))).text == "[[7]]"
        with pytest.raises(InfraError, match="no judge/other"):
            await bound.ask("other", TALK, Ask(8))


async def test_openais_key_goes_to_openai_only(monkeypatch):
    from harness.models.roles import role_token

    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert role_token(parse_role("judge=gpt-4@https://api.openai.com/v1")) == "sk-openai"
    assert role_token(parse_role("judge=gpt-4@https://api.openai.com.evil.example/v1")) == ""
    assert role_token(parse_role("judge=gpt-4@http://127.0.0.1:8000")) == ""
    monkeypatch.setenv("HARNESS_JUDGE_API_KEY", "mine")
    assert role_token(parse_role("judge=gpt-4@http://127.0.0.1:8000")) == "mine"
