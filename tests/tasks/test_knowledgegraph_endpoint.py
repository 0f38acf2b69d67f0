"""The endpoint: its protocol and its troubles, its recordings, and what `doctor` says of an address."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyoxigraph
import pytest
from kg_play import FIXTURE, kg_context
from sparql_endpoint import SparqlEndpoint, body, hung_up, serve_sparql, status
from web_play import QUICK

from harness.checks.tasks import doctor_task
from harness.errors import DataError, InfraError, MissingPart, UsageError
from harness.running.bench import Bench
from harness.storage.records import Attempt
from tasks._shared import web as shared_web
from tasks._shared.recorded import Answers
from tasks._shared.web import LONGEST_QUERY, Web
from tasks.knowledgegraph import backend, endpoint, sparql
from tasks.knowledgegraph.graph import QueryRefused, found
from tasks.knowledgegraph.program import Join
from tasks.knowledgegraph.remote import EndpointGraph
from tasks.knowledgegraph.sparql import Query, members, predicates
from tasks.knowledgegraph.store import open_store
from tasks.knowledgegraph.task import TASK

BUILT = Join("boats.ship_builder.ships_built", "m.t_001")
SHIPS = {"m.t_101", "m.t_102", "m.t_103", "m.t_104"}
RESULT = '{"head":{"vars":["x"]},"results":{"bindings":[]}}'


@pytest.fixture
async def server() -> AsyncIterator[SparqlEndpoint]:
    store, _ = open_store(FIXTURE / backend.FIXTURE_GRAPH)
    async with serve_sparql({"g": store}) as served:
        yield served


@asynccontextmanager
async def live(server: SparqlEndpoint) -> AsyncIterator[EndpointGraph]:
    async with Web(contact="test", limits=QUICK) as session:
        yield EndpointGraph("remote", Answers("live"), session, f"{server.url}/g/sparql")


async def test_short_queries_are_got_and_long_ones_posted(server: SparqlEndpoint):
    long = members(BUILT)
    long = Query("long", long.text.replace("WHERE", "WHERE" + " " * LONGEST_QUERY))
    async with live(server) as graph:
        assert set((await graph.select(members(BUILT))).values) == SHIPS
        assert server.methods == {"GET": 1}
        assert set((await graph.select(long)).values) == SHIPS
        assert server.methods == {"GET": 1, "POST": 1}
        relations = set((await graph.select(predicates("m.t_001"))).values)
        assert relations == {"boats.ship_builder.ships_built", "type.object.name"}


async def test_an_answer_is_asked_for_once(server: SparqlEndpoint):
    async with live(server) as graph:
        together = await asyncio.gather(*(graph.select(members(BUILT)) for _ in range(20)))
        again = await graph.select(members(BUILT))
    assert len(server.queries) == 1
    assert all(one == again for one in together)


async def test_answers_in_memory_are_bounded(server: SparqlEndpoint, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tasks.knowledgegraph.remote.KEPT", 6)
    async with live(server) as graph:
        for query in (members(BUILT), predicates("m.t_001"), members(BUILT)):
            await graph.select(query)
    assert len(server.queries) == 3


@pytest.mark.parametrize(
    "trouble", [status(500), status(503), hung_up, body(RESULT[:-5]), body("<html>busy</html>")]
)
async def test_trouble_is_retried_and_then_an_infra_error(server: SparqlEndpoint, trouble: Any):
    async with live(server) as graph:
        server.trouble = [trouble] * 2
        assert set((await graph.select(members(BUILT))).values) == SHIPS
        server.trouble = [trouble] * 3
        with pytest.raises(InfraError, match="sparql at"):
            await graph.select(predicates("m.t_101"))


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (status(404, "no such page"), "HTTP 404.*no such page"),
        (body('{"boolean": true}'), "not of SPARQL's JSON form"),
    ],
)
async def test_what_stays_wrong_is_not_asked_again(server: SparqlEndpoint, trouble: Any, words: str):
    async with live(server) as graph:
        server.trouble = [trouble]
        with pytest.raises(InfraError, match=words):
            await graph.select(members(BUILT))
    assert len(server.queries) == 1


async def test_a_query_refused_for_its_cost_fails_the_call_and_not_the_run(server: SparqlEndpoint):
    too_costly = status(500, "Virtuoso 42000 Error The estimated execution time 512 (sec) exceeds the limit")
    async with live(server) as graph:
        server.trouble = [too_costly]
        with pytest.raises(QueryRefused):
            await graph.select(members(BUILT))
    assert len(server.queries) == 1


async def test_an_answer_without_end_is_cut_off(server: SparqlEndpoint, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared_web, "LONGEST_BODY", 100)
    async with live(server) as graph:
        with pytest.raises(InfraError, match="over 100 bytes"):
            await graph.select(members(BUILT))
    assert len(server.queries) == 1


async def test_a_result_past_the_cap_is_marked(server: SparqlEndpoint, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tasks.knowledgegraph.graph.ROWS", 3)
    server.most_rows = 3
    async with live(server) as graph:
        got = await graph.select(members(BUILT))
    assert (len(got.values), got.truncated) == (3, True)
    assert not found(["a", "b"]).truncated
    assert found(["http://rdf.freebase.com/ns/m.1", "1990-01-01-08:00"]).values == ("m.1", "1990-01-01")


# -- recordings


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Bench]:
    ctx = kg_context(profile="fixed", **options)
    async with TASK.world(ctx) as world:
        yield Bench(TASK, ctx, world, list(TASK.samples(ctx)))


async def all_played(bench: Bench) -> list[Attempt]:
    return [await bench.oracle(sample) for sample in bench.samples]


def told(attempt: Attempt) -> tuple[object, ...]:
    """All of an attempt but its times."""
    return (
        *(attempt.sample, attempt.outcome, attempt.value, attempt.metrics, attempt.answer, attempt.note),
        [(call.prompt, call.reply, call.turn, call.info) for call in attempt.calls],
        attempt.last,
    )


async def test_record_once_and_replay_without_a_network(server: SparqlEndpoint, tmp_path: Path):
    path = tmp_path / "kg.sqlite"
    url = f"{server.url}/g/sparql"
    async with opened(backend="record", endpoint=url, snapshot=str(path)) as bench:
        recorded = await all_played(bench)
    assert [attempt.value for attempt in recorded] == [1.0] * 10
    server.queries.clear()
    async with opened(backend="snapshot", snapshot=str(path)) as bench:
        assert list(map(told, await all_played(bench))) == list(map(told, recorded))
        assert len(bench.world.fingerprint["web_sha256"]) == 64
        assert bench.world.comparable == ""
        asked = "members (JOIN boats.ship_designer.boats_designed m.t_002)"
        remove(path, asked)
    async with opened(backend="snapshot", snapshot=str(path)) as bench:
        again = await all_played(bench)
    assert server.queries == []
    for before, after in zip(recorded, again, strict=True):
        if after.sample != "std/5":
            assert told(after) == told(before)
            continue
        assert (after.outcome, after.value, after.rebuilds) == ("infra_error", None, 0)
        assert asked in after.error and "1 of this episode's 2 queries" in after.error


def remove(path: Path, query: str) -> None:
    """Take one answer out of a snapshot and seal it again."""
    from tasks._shared.recorded import seal

    with sqlite3.connect(path) as file:
        assert file.execute("DELETE FROM answers WHERE request LIKE ?", (f"%{query}%",)).rowcount == 1
        seal(file)


async def test_snapshots_that_cannot_be_replayed_are_refused(server: SparqlEndpoint, tmp_path: Path):
    path = tmp_path / "kg.sqlite"
    url = f"{server.url}/g/sparql"
    async with opened(backend="record", endpoint=url, snapshot=str(path), split="dev") as bench:
        await bench.oracle(bench.samples[0])
    with pytest.raises(MissingPart, match="recorded for the split dev, not std"):
        async with opened(backend="snapshot", snapshot=str(path)):
            pass
    with pytest.raises(MissingPart, match="recorded for the split dev, not std: name another file"):
        async with opened(backend="record", endpoint=url, snapshot=str(path)):
            pass
    with pytest.raises(MissingPart, match="snapshot_sha256 asks for 00"):
        async with opened(backend="snapshot", snapshot=str(path), snapshot_sha256="00", split="dev"):
            pass
    with sqlite3.connect(path) as file:
        file.execute("UPDATE answers SET status = 201")
    with pytest.raises(DataError, match=r"has content [0-9a-f]{64}, but was sealed as [0-9a-f]{64}"):
        async with opened(backend="snapshot", snapshot=str(path), split="dev"):
            pass
    Answers("record", tmp_path / "other.sqlite").close()
    with pytest.raises(DataError, match="none of knowledgegraph"):
        async with opened(backend="snapshot", snapshot=str(tmp_path / "other.sqlite")):
            pass


# -- what doctor says


async def lacks(mirror: str = "fixture", **options: str) -> str:
    """What `doctor` says of the task's needs but the package."""
    found = await asyncio.to_thread(
        doctor_task, "knowledgegraph", mirror=mirror, split="std", settings=options
    )
    return " | ".join(f"{one.name}: {one.state} ({one.fix})" for one in found["std"] if not one.good)


async def test_doctor_asks_the_endpoint_for_known_relations(
    server: SparqlEndpoint, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(endpoint.ADDRESS, raising=False)
    url = f"{server.url}/g/sparql"
    assert await lacks(backend="remote", endpoint=url) == ""
    assert "has no address" in (said := await lacks(backend="remote"))
    assert "export HARNESS_SPARQL" in said and "backend=synthetic" in said
    monkeypatch.setenv(endpoint.ADDRESS, url)
    assert await lacks(backend="remote") == ""
    assert "no file is named" in await lacks(backend="record")
    part = pyoxigraph.Store()
    part.extend(list(server.graphs["g"])[:0])
    server.graphs = {"g": part}
    assert "not Freebase" in await lacks(backend="remote")
    node = pyoxigraph.NamedNode(sparql.NAMESPACE + "m.t_001")
    part.add(pyoxigraph.Quad(node, pyoxigraph.NamedNode(sparql.NAMESPACE + BUILT.relation), node))
    assert "a partial dump: it lacks 4 of 5" in await lacks(backend="remote")
    for trouble, words in (
        (status(403), "HTTP 403"),
        (body("<html></html>"), "not as a SPARQL endpoint"),
        (hung_up, "does not answer"),
    ):
        server.trouble = [trouble]
        assert words in await lacks(backend="remote")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("ftp://x/sparql", "must look like"),
        ("http://", "must look like"),
        ("http://h:99999/sparql", "must look like"),
        ("http://me:secret@h/sparql", "no password"),
        ("http://h/sparql?key=1", "no password, query"),
    ],
)
async def test_addresses_that_must_not_be_stored_are_refused(given: str, words: str):
    with pytest.raises(UsageError, match=words) as error:
        endpoint.address_of(kg_context(endpoint=given))
    assert "secret" not in str(error.value)
    assert words in await lacks(backend="remote", endpoint=given)


async def test_a_graph_that_is_none_is_named(tmp_path: Path):
    assert "neither a folder" in await lacks(backend="embedded", graph=str(tmp_path / "none"))
    (tmp_path / "bad.nt").write_text("<a> <b> .\n")
    with pytest.raises(DataError, match="cannot be read as a graph"):
        async with opened(backend="embedded", graph=str(tmp_path / "bad.nt")):
            pass
    pyoxigraph.Store(str(tmp_path / "store")).extend(list(open_store(FIXTURE / backend.FIXTURE_GRAPH)[0]))
    async with opened(backend="embedded", graph=str(tmp_path / "store")) as bench:
        assert (await bench.oracle(bench.samples[0])).value == 1.0
