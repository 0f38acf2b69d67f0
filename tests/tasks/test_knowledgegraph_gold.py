"""Gold programs on the mirror's questions: which reach their answers, and the same through every backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from kg_play import evaluate, kg_context, play
from sparql_endpoint import serve_sparql
from web_play import QUICK

from harness.types import Context, Message, Profile, Sample
from tasks._shared.recorded import Answers
from tasks._shared.web import Web
from tasks.knowledgegraph.backend import KgBackend
from tasks.knowledgegraph.graph import Graph
from tasks.knowledgegraph.program import Join, both
from tasks.knowledgegraph.remote import EndpointGraph
from tasks.knowledgegraph.rows import PRODUCERS, vocabulary
from tasks.knowledgegraph.store import made_store
from tasks.knowledgegraph.synthetic import edges
from tasks.knowledgegraph.task import TASK
from tasks.knowledgegraph.world import KgWorld, open_world

IDS = {"std": {54, 88, 116, 41, 73, 7, 9, 38, 126, 143, 22, 50, 62, 107, 148}, "dev": {14, 17}}
NAMES = {"std": {14, 15, 76, 78, 94, 119, 128, 142, 48}, "dev": {11, 12, 15}}
NEVER = {"std": {107, 148}, "dev": set[int]()}
"""Questions whose gold program fails: with ids already, with names as well, and whatever is mended."""


def mirrored(mirror: Path, split: str, profile: Profile = "paper", **options: Any) -> Context:
    return kg_context(mirror / "knowledgegraph", profile, split, backend="synthetic", **options)


@pytest.mark.parametrize("split", ["dev", pytest.param("std", marks=pytest.mark.full)])
@pytest.mark.parametrize(
    ("profile", "ids", "right"),
    [("paper", True, (135, 18)), ("paper", False, (126, 15)), ("fixed", False, (148, 20))],
)
async def test_gold_programs_fail_where_upstream_does(
    mirror: Path, split: str, profile: Profile, ids: bool, right: tuple[int, int]
):
    ctx = mirrored(mirror, split, profile, oracle_ids=ids)
    samples = TASK.samples(ctx)
    async with open_world(ctx) as world:
        values = [(await play(world, one, profile=profile, oracle_ids=ids))[0].value for one in samples]
    failing = {index for index, value in enumerate(values) if value < 1}
    expected = NEVER[split] if profile == "fixed" else IDS[split] | (set() if ids else NAMES[split])
    assert failing == expected
    assert len(values) - len(failing) == right[split == "dev"]
    assert {value for value in values if value < 1} <= {0.0}


async def test_a_few_of_std_quickly(mirror: Path):
    """One question of each defect; the whole split is the `full` test's."""
    ctx = mirrored(mirror, "std")
    samples = TASK.samples(ctx)
    chosen = [0, 34, 45, 54, 41, 7, 22, 107, 14, 48]
    for profile, right in (("paper", {0, 34, 45}), ("fixed", set(chosen) - {107})):
        async with open_world(mirrored(mirror, "std", profile)) as world:
            got = {index: (await play(world, samples[index]))[0].value for index in chosen}
        assert {index for index, value in got.items() if value == 1} == right


Made = Callable[[Sample], Graph]


@asynccontextmanager
async def over_http(samples: Sequence[Sample], folder: Path, mode: str) -> AsyncIterator[Made]:
    """The synthetic graphs behind an endpoint that is recorded, or the recordings alone."""
    stores = {
        str(place): made_store(edges(one.data["calls"], one.data["answers"]))
        for place, one in enumerate(samples)
    }
    places = {one.id: place for place, one in enumerate(samples)}
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(serve_sparql(stores))
        web = await stack.enter_async_context(Web(contact="test", limits=QUICK))

        def made(sample: Sample) -> Graph:
            place = places[sample.id]
            answers = Answers(mode, folder / f"{place}.sqlite")  # type: ignore[arg-type]
            stack.enter_context(closing(answers))
            address = f"{endpoint.url}/{place}/sparql"
            return EndpointGraph("remote", answers, web if mode == "record" else None, address)

        yield made
        assert (mode == "record") == bool(endpoint.queries)


Transcript = tuple[float, str, list[tuple[Message, ...]]]


async def transcripts(ctx: Context, samples: Sequence[Sample], made: Made) -> list[Transcript]:
    world = KgWorld(ctx, KgBackend(made, "test", {}))
    played = [await play(world, one, profile="fixed", oracle_ids=True) for one in samples]
    return [(score.value, score.answer, [o.messages for o in seen]) for score, seen in played]


@pytest.mark.parametrize(
    ("split", "most"),
    [("dev", 5), *(pytest.param(split, None, marks=pytest.mark.full) for split in ("dev", "std"))],
)
async def test_http_and_the_snapshot_of_it_give_what_the_store_gives(
    mirror: Path, split: str, most: int | None, tmp_path: Path
):
    ctx = mirrored(mirror, split, "fixed")
    samples = TASK.samples(ctx)[:most]
    async with open_world(ctx) as world:
        embedded = await transcripts(ctx, samples, world.backend.graph_of)
    for mode in ("record", "replay"):
        async with over_http(samples, tmp_path, mode) as made:
            assert await transcripts(ctx, samples, made) == embedded


@pytest.mark.parametrize("split", ["dev", "std"])
async def test_plain_search_gives_the_gold_sets_too(mirror: Path, split: str):
    """An evaluation that knows no SPARQL, on every program whose topic is not its own answer."""
    ctx = mirrored(mirror, split, "fixed")
    for index, sample in enumerate(TASK.samples(ctx)):
        found = evaluate(gold_program(sample), edges(sample.data["calls"], sample.data["answers"]))
        right = found == set(sample.data["answers"])
        assert right == (index not in NEVER[split]), sample.id


def gold_program(sample: Sample) -> Any:
    from tasks.knowledgegraph.program import Count, Extreme

    made: list[Any] = []
    for call in sample.data["calls"]:
        if call.name not in PRODUCERS:
            continue
        first, *rest = [made[int(a[1:])] if a.startswith("#") else a for a in call.arguments]
        match call.name:
            case "get_neighbors":
                made.append(Join(rest[0], first))
            case "intersection":
                made.append(both(first, rest[0]))
            case "count":
                made.append(Count(first))
            case name:
                made.append(Extreme(first, rest[0], largest=name == "argmax"))
    return made[-1]


def test_the_vocabularies_of_the_mirror(mirror: Path):
    known = vocabulary(mirror / "knowledgegraph", "vocab")
    assert (len(known.relations), len(known.attributes)) == (13100, 3384)
    assert known.relations | known.attributes <= set(known.ranges)
    assert not known.relations & known.attributes
    whole = vocabulary(mirror / "knowledgegraph", "roles")
    assert known.relations <= whole.relations and known.attributes <= whole.attributes
    assert "topic_server.population_number" in whole.attributes - known.attributes
    assert "common.topic" in known.classes
