"""Roles that embed: both protocols over real sockets, recordings, oracles and a folder of this machine."""

import json
import math
import operator
import os
import sys
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from loopback_server import serving

from harness.episode import BaseOracle
from harness.errors import InfraError, MissingPart, UsageError
from harness.models.api import LiveEpisodes
from harness.models.connect import open_model
from harness.models.roles import RoleOptions, RoleSession, open_role, parse_role
from harness.running.role_chats import EpisodeRoles
from harness.storage.records import Attempt
from harness.types import Ask, CallKey, Message, Observation

EPISODE = CallKey("teval", "plan/0", 0, 0)
TEI = {"model_id": "mpnet", "model_type": {"embedding": {"pooling": "mean"}}, "version": "1.7.0"}


def vector(text):
    return [float(len(text)), 0.5]


class Server:
    """Speaks one of the protocols, and remembers what it was sent."""

    def __init__(self, info=None, listed=("mpnet",), fail=()):
        self.info, self.listed, self.fail = info, listed, list(fail)
        self.batches, self.headers, self.bodies = [], [], []
        self.app = web.Application(client_max_size=1 << 26)
        self.app.router.add_get("/info", self._info)
        self.app.router.add_get("/v1/models", self._models)
        self.app.router.add_post("/embed", self._tei)
        self.app.router.add_post("/v1/embeddings", self._openai)

    async def _info(self, request):
        return web.json_response(self.info) if self.info else web.Response(status=404)

    async def _models(self, request):
        return web.json_response({"data": [{"id": name} for name in self.listed or ()]})

    async def _take(self, request, field):
        if self.fail:
            return web.Response(status=self.fail.pop(0), text="not now")
        self.bodies.append(body := await request.json())
        self.batches.append(body[field])
        self.headers.append(dict(request.headers))
        return None

    async def _tei(self, request):
        if (early := await self._take(request, "inputs")) is not None:
            return early
        found = [vector(text) for text in self.batches[-1]]
        return web.json_response(found, headers={"x-compute-tokens": str(3 * len(found))})

    async def _openai(self, request):
        if (early := await self._take(request, "input")) is not None:
            return early
        data = [{"index": n, "embedding": vector(text)} for n, text in enumerate(self.batches[-1])]
        return web.json_response({"data": data[::-1], "usage": {"prompt_tokens": 3 * len(data)}})


@asynccontextmanager
async def embedding(server, name="mpnet"):
    async with serving(server.app) as url, open_role(parse_role(f"embedder={name}@{url}")) as model:
        yield model


@pytest.mark.parametrize("info", [TEI, {**TEI, "model_type": None, "model_pooling": "cls"}, None])
async def test_texts_go_out_in_batches_and_come_back_in_order(info):
    server = Server(info)
    texts = tuple("x" * n for n in range(150))
    attempt = Attempt("teval", 1, "plan/0", 2)
    async with embedding(server) as model:
        chat = EpisodeRoles(attempt, {"embedder": model}, RoleOptions(deadline_s=30.0)).chats["embedder"]
        found = await chat.embed("names", texts)
        assert await chat.embed("names", texts) == found
        assert await chat.embed("none", ()) == ()
    assert found == tuple(tuple(vector(text)) for text in texts)
    assert [len(batch) for batch in server.batches] == [64, 64, 22]
    assert {headers["X-Harness-Part"] for headers in server.headers} == {"names"}
    (call,) = attempt.calls
    assert (call.role, call.key, json.loads(call.prompt)) == ("embedder", "names", list(texts))
    assert json.loads(call.reply) == [vector(text) for text in texts]
    assert call.facts["prompt_tokens"] == 3 * 150
    assert model.info["kind"] == ("tei" if info else "openai-embeddings")


async def test_a_server_that_takes_few_texts_gets_few():
    server = Server({**TEI, "max_client_batch_size": 2})
    async with embedding(server) as model:
        assert len(await RoleSession("embedder", model, EPISODE).embed("k", ("a", "bb", "ccc"))) == 3
    assert server.batches == [["a", "bb"], ["ccc"]]


async def test_what_is_sent_is_what_the_protocols_ask_for():
    for info in (TEI, None):
        server = Server(info)
        async with embedding(server) as model:
            await RoleSession("embedder", model, EPISODE).embed("k", ("half \ud83d",))
        sent = {"inputs": ["half \ufffd"], "truncate": True}
        other = {"model": "mpnet", "input": ["half \ufffd"], "encoding_format": "float"}
        assert server.bodies == [sent if info else other]


async def test_a_server_that_is_busy_is_asked_again():
    server = Server(TEI, fail=[429, 503])
    async with embedding(server) as model:
        assert await RoleSession("embedder", model, EPISODE).embed("k", ("ab",)) == ((2.0, 0.5),)
    assert len(server.batches) == 1


async def test_a_refusal_is_an_infrastructure_failure_that_is_not_logged():
    async with embedding(Server(TEI, fail=[413])) as model:
        with pytest.raises(InfraError, match="role embedder, k"):
            await RoleSession("embedder", model, EPISODE).embed("k", ("a",))


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (Server({**TEI, "model_type": {"reranker": {}}}), "does not embed"),
        (Server({"model_id": "m", "version": "3.3.6", "max_total_tokens": 4096}), "does not embed"),
        (Server(None, listed=None), "neither TEI"),
    ],
    ids=["reranker", "tgi", "nothing"],
)
async def test_a_server_that_does_not_embed_is_refused_before_the_run(server, says):
    with pytest.raises(MissingPart, match=says):
        async with embedding(server):
            pass


async def test_a_dead_embedder_is_a_missing_part(unused_tcp_port):
    with pytest.raises(MissingPart, match="no endpoint answers"):
        async with open_role(parse_role(f"embedder=mpnet@http://127.0.0.1:{unused_tcp_port}")):
            pass


async def test_an_embedder_needs_an_address_or_a_folder():
    with pytest.raises(UsageError, match="embedder=st:FOLDER"):
        async with open_role(parse_role("embedder=agentlm-7b")):
            pass


async def test_an_embedder_does_not_answer_and_a_chat_model_does_not_embed():
    async with embedding(Server(TEI)) as model:
        with pytest.raises(InfraError, match="cannot answer"):
            await RoleSession("embedder", model, EPISODE).ask("k", (Message("user", "?"),), Ask(8))
    app = web.Application()
    async with serving(app) as url, open_role(parse_role(f"judge=x@{url}")) as model:
        with pytest.raises(InfraError, match=r"role judge, k: .*does not embed"):
            await RoleSession("judge", model, EPISODE).embed("k", ("a",))


async def test_recorded_vectors_are_found_by_key(tmp_path):
    exact = [[0.1, 1 / 3], [math.pi, -2]]
    roles = {"embedder/k": exact, "embedder/text": json.dumps(exact), "embedder/odd": [[1.0]]}
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"task": "teval", "sample": "plan/0", "replies": ["r"], "roles": roles}))
    async with open_role(parse_role(f"embedder=replay:{file}")) as model:
        chat = RoleSession("embedder", model, EPISODE)
        assert await chat.embed("k", ("a", "b")) == ((0.1, 1 / 3), (math.pi, -2.0))
        assert await chat.embed("text", ("a", "b")) == ((0.1, 1 / 3), (math.pi, -2.0))
        with pytest.raises(InfraError, match="no 2 vectors of one length"):
            await chat.embed("odd", ("a", "b"))
        with pytest.raises(InfraError, match="no embedder/other"):
            await chat.embed("other", ("a",))


class Embedding(BaseOracle):
    def __init__(self, answer=None):
        self.answer = answer

    async def role_reply(self, role, prompt):
        assert role == "embedder"
        return self.answer or json.dumps([vector(text) for text in json.loads(prompt)])


async def test_an_oracle_embeds_for_its_episode():
    live = LiveEpisodes()
    async with (
        open_model("oracle", live=live) as tested,
        open_role(parse_role("embedder=self"), tested=tested) as model,
    ):
        live.put("teval", "plan/0", 0, Embedding(), Observation())
        texts = tuple("é" * n for n in range(70))  # more than a batch: an oracle is asked once
        found = await RoleSession("embedder", model, EPISODE).embed("k", texts)
        assert found == tuple(tuple(vector(text)) for text in texts)
        live.put("teval", "plan/0", 0, Embedding("no vectors"), Observation())
        with pytest.raises(InfraError, match="role embedder, k"):
            await RoleSession("embedder", model, EPISODE).embed("k", ("a",))


async def opened(folder, *texts):
    async with open_role(parse_role(f"embedder=st:{folder}")) as model:
        return await RoleSession("embedder", model, EPISODE).embed("k", texts or ("a",))


async def test_a_folder_without_a_model_is_a_missing_part(tmp_path):
    with pytest.raises(MissingPart, match="no such folder"):
        await opened(tmp_path / "not-there")
    with pytest.raises(MissingPart, match=r"modules\.json"):
        await opened(tmp_path)


async def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    (tmp_path / "modules.json").write_text("[]")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingPart, match=r"pip install 'agenttuning-harness\[local\]'"):
        await opened(tmp_path)


@pytest.mark.skipif("HARNESS_ST_FOLDER" not in os.environ, reason="set HARNESS_ST_FOLDER to a model's folder")
async def test_a_real_folder_knows_like_from_unlike():
    found = await opened(
        os.environ["HARNESS_ST_FOLDER"], "a cat", "a kitten", "tax law", *("x" for _ in range(70))
    )
    assert len(found) == 73

    def cosine(a, b):
        return sum(map(operator.mul, a, b)) / math.hypot(*a) / math.hypot(*b)

    assert cosine(found[0], found[1]) > cosine(found[0], found[2])
