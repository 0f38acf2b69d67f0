"""Vectors are read within bounds or another replica gives them; none anywhere is an infra error."""

import functools
import json
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from fault_server import Behaviour, FaultServer

from harness.errors import InfraError
from harness.models.clients import embed_remote
from harness.models.clients.embed_wire import MOST_NUMBERS
from harness.models.pool.clock import Clock
from harness.models.pool.pool import Pool
from harness.models.roles import RoleOptions, RoleSession, open_role, parse_role
from harness.types import CallKey

TEI = {"model_id": "mpnet", "model_type": {"embedding": {"pooling": "mean"}}, "version": "1.7.0"}
TEXTS = ("a", "bb")
VECTORS = ((1.0, 0.5), (2.0, 0.5))
MB = 1 << 20
FAST = 20.0
"""Seconds of the pool's clock in one: its pauses between attempts are shorter, deadlines stay as long."""


@pytest.fixture(autouse=True)
def quick_pauses(monkeypatch):
    monkeypatch.setattr(embed_remote, "Pool", functools.partial(Pool, clock=Clock(FAST)))


def rows(*vectors, places=None):
    """OpenAI's body around vectors that are written already."""
    told = range(len(vectors)) if places is None else places
    data = ",".join(
        f'{{"index": {place}, "embedding": {one}}}' for place, one in zip(told, vectors, strict=True)
    )
    return f'{{"data": [{data}], "usage": {{"prompt_tokens": 2}}}}'


def server(kind, answer=None, **more):
    """One that speaks a protocol and gives `answer`, or the right vectors."""
    right = json.dumps(VECTORS) if kind == "tei" else rows(*map(json.dumps, VECTORS))
    body = Behaviour(body=(answer or right).encode("utf-8", "surrogatepass"))
    info = TEI if kind == "tei" else None
    return FaultServer(info=info, models={"data": [{"id": "mpnet"}]}, default=body, **more)


@asynccontextmanager
async def open_at(*servers):
    urls = ",".join(one.url for one in servers)
    async with open_role(parse_role(f"embedder=mpnet@{urls}")) as model:
        yield model


def chat(model, number=0, deadline_s=60.0):
    key = CallKey("teval", f"plan/{number}", 0, 0)
    return RoleSession("embedder", model, key, options=RoleOptions(deadline_s=deadline_s * FAST))


LISTS = {
    "lengths": "[[1.0, 2.0], [1.0]]",
    "NaN": "[[1.0, NaN], [1.0, 2.0]]",
    "1e999": "[[1.0, 1e999], [1.0, 2.0]]",
    "5000 digits": f"[[1.0, {'9' * 5000}], [1.0, 2.0]]",
    "too few": "[[1.0, 2.0]]",
    "too many": "[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]",
    "none": "[]",
    "strings": '[["1.0", "2.0"], ["1.0", "2.0"]]',
    "base64": '["AACAPw==", "AACAPw=="]',
    "booleans": "[[true, false], [true, false]]",
    "empty": "[[], []]",
    "nulls": "[null, null]",
    "numbers": "[1.0, 2.0]",
    "nested": "[[[1.0, 2.0]], [[1.0, 2.0]]]",
    "deep": "[" * 10_000 + "]" * 10_000,
    "too long": json.dumps([[0.5] * (MOST_NUMBERS + 1)] * 2),
}
BODIES = {
    "text": '"vectors"',
    "error": '{"error": "no", "error_type": "embedding"}',
    "html": "<html>Bad gateway</html>",
    "half": "[[1.0, 2.0], [1.",
    "nothing": " ",
}
OPENAI = {
    "one place twice": rows("[1.0, 2.0]", "[1.0, 2.0]", places=(0, 0)),
    "a place beyond": rows("[1.0, 2.0]", "[1.0, 2.0]", places=(0, 2)),
    "a place out of bounds": rows("[1.0, 2.0]", "[1.0, 2.0]", places=(0, "1e30")),
    "no vector": '{"data": [{"index": 0}, {"index": 1}]}',
    "no rows": '{"data": null}',
    "rows are numbers": '{"data": [1, 2]}',
}


def of_openai(listed):
    """What one of LISTS is inside of rows; None where it is no list of items."""
    try:
        items = json.loads(listed)
    except (ValueError, RecursionError):
        return None
    return rows(*map(json.dumps, items))


BAD = [
    *(pytest.param("tei", body, id=f"tei-{name}") for name, body in {**LISTS, **BODIES}.items()),
    *(
        pytest.param("openai", body, id=f"openai-{name}")
        for name, listed in LISTS.items()
        if (body := of_openai(listed)) is not None
    ),
    *(pytest.param("openai", body, id=f"openai-{name}") for name, body in {**BODIES, **OPENAI}.items()),
]


@pytest.mark.parametrize(("kind", "answer"), BAD)
async def test_bad_vectors_of_one_replica_are_given_by_another(kind, answer):
    async with server(kind) as good, server(kind, answer) as bad, open_at(good, bad) as model:
        for number in range(64):
            assert await chat(model, number).embed("k", TEXTS) == VECTORS
            if bad.seen:
                return
        raise AssertionError("the bad replica was never asked")


async def test_a_replica_whose_vectors_have_another_length_is_left_for_the_one_that_answered_first():
    async with server("tei") as one, server("tei", "[[1, 2, 3], [1, 2, 3]]") as two:
        async with open_at(one, two) as model:
            first = await chat(model).embed("k", TEXTS)
            other = one if two.seen else two
            assert not other.seen
            for number in range(1, 64):
                assert await chat(model, number).embed("k", TEXTS) == first
                if other.seen:
                    return
        raise AssertionError("the other replica was never asked")


@pytest.mark.parametrize("kind", ["tei", "openai"])
async def test_bad_vectors_of_every_replica_are_an_infrastructure_failure(kind):
    async with server(kind, "[]") as one, server(kind, "[[NaN], [1]]") as two, open_at(one, two) as model:
        says = r"role embedder, k: no answer within .*http://127.* without 2 vectors of one length"
        with pytest.raises(InfraError, match=says):
            await chat(model, deadline_s=1.0).embed("k", TEXTS)


async def test_rows_come_in_the_order_of_their_texts():
    first, second = map(json.dumps, VECTORS)
    for answer in (
        rows(second, first, places=(1, 0)),
        f'{{"data": [{{"embedding": {first}}}, {{"embedding": {second}}}]}}',
    ):
        async with server("openai", answer) as good, open_at(good) as model:
            assert await chat(model).embed("k", TEXTS) == VECTORS


async def test_the_longest_vector_is_read():
    longest = [0.5] * MOST_NUMBERS
    async with server("tei", json.dumps([longest] * 2)) as good, open_at(good) as model:
        assert await chat(model).embed("k", TEXTS) == (tuple(longest),) * 2


DECODE = """
import resource, sys
from harness.models.clients.embed_wire import OpenAI, Tei
head, piece, tail, protocol = sys.argv[1:]
body = b"".join((head.encode(), piece.encode() * ((24 << 20) // len(piece)), tail.encode()))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    (Tei() if protocol == "tei" else OpenAI("m")).read(body, {}, 64)
except ValueError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""
OPENAI_HEAD = '{"data": ['


@pytest.mark.parametrize(
    ("head", "piece", "tail", "protocol"),
    [
        ("[", "[],", "[]]", "tei"),
        ("[[", "[],", "[]]" + ",[1]" * 63 + "]", "tei"),
        ("[[", "1,", "1]" + ",[1]" * 63 + "]", "tei"),
        ("[", '"",', '""]', "tei"),
        (OPENAI_HEAD, '{"embedding":[]},', '{"embedding":[]}]}', "openai"),
        (OPENAI_HEAD, "[],", "[]]}", "openai"),
        (OPENAI_HEAD + '{"embedding":[', "1,", "1]}" + ',{"embedding":[1]}' * 63 + "]}", "openai"),
        ('{"usage": [', "[],", '[]], "data": []}', "openai"),
    ],
)
def test_a_body_of_24_megabytes_is_refused_before_its_objects_are_built(head, piece, tail, protocol):
    command = [sys.executable, "-c", DECODE, head, piece, tail, protocol]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    grown, _, refusal = done.stdout.partition(" ")
    assert refusal.strip()
    assert int(grown) * 1024 < 64 * MB, f"{int(grown) // 1024} MB for {refusal}"
