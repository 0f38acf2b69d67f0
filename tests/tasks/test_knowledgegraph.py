"""Episodes on the fixture's graph: the protocol, each tool, each failure text and each mended defect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from kg_play import FIXTURE, kg_context, play, shown

from harness import tokens
from harness.catalog import models
from harness.data import digest, notice
from harness.history import policy
from harness.templates import template
from harness.types import Message, Profile, Reply, Sample
from tasks.knowledgegraph import score
from tasks.knowledgegraph.prompts import KgPrompts
from tasks.knowledgegraph.task import TASK
from tasks.knowledgegraph.world import KgWorld, open_world

YARD = "Action: get_relations(North Yard)"
BUILT = "Action: get_neighbors(North Yard, boats.ship_builder.ships_built)"
ATTRIBUTES = "Action: get_attributes(#0)"
TYPE = "Observation: variable #0, of type boats.ship"
SAMPLES = {sample.id: sample for sample in TASK.samples(kg_context())}
NORTH = SAMPLES["std/2"]


@pytest.fixture
async def paper() -> AsyncIterator[KgWorld]:
    async with open_world(kg_context()) as world:
        yield world


@pytest.fixture
async def fixed() -> AsyncIterator[KgWorld]:
    async with open_world(kg_context(profile="fixed")) as world:
        yield world


async def answers(world: KgWorld, sample: Sample, *replies: str) -> set[str]:
    (got, _) = await play(world, sample, replies)
    return set(got.answer.split(", ")) - {""}


async def test_the_opening_is_upstreams(mirror: Path):
    prompts = KgPrompts(kg_context(mirror / "knowledgegraph"))
    opening = prompts.opening("who?", ["A, b", "C"])
    assert [message.role for message in opening] == ["user", "assistant"] * 9 + ["user"]
    assert digest(opening[0].content).startswith("c0b52ce0c16ce8e2")
    assert digest("\x1e".join(message.content for message in opening[2:-1])).startswith("848bf343f6b42c60")
    assert opening[-1].content == "A new question: who?\nEntities: [A, b, C]"
    chosen = models.find("agentlm-7b").templates[TASK.spec.suite]
    assert "<<SYS>>" not in template(chosen).render(opening)
    count = tokens.counter("segments")
    assert sum(count(message.content) for message in [opening[0], *opening[2:-1]]) == 1458
    assert prompts.variable(3, "a.b", counted=False) == "Observation: variable #3, which are instances of a.b"
    assert prompts.variable(3, "", counted=True) == "Observation: variable #3, which is a number"


async def test_a_long_list_of_relations_empties_the_history(mirror: Path):
    """The window counts from the newest message, so that one observation can push everything else out."""
    ctx = kg_context(mirror / "knowledgegraph")
    prompts = KgPrompts(ctx)
    opening = prompts.opening("who?", ["A"])
    show, _ = policy(TASK.spec.history, notice(ctx.data, ctx.source, ctx.mirror))
    relations = [f"people.person.relation_{number}" for number in range(600)]
    talk = [
        *opening,
        Message("assistant", "Action: get_relations(A)"),
        Message("user", prompts.listed(relations)),
    ]
    kept = show(talk, lambda messages: "", tokens.counter("segments"))
    assert len(kept) == 1
    assert kept[0].content.startswith(opening[0].content.strip()) and "20" in kept[0].content[-120:]
    assert len(show(opening, lambda messages: "", tokens.counter("segments"))) == len(opening)


async def test_tools_show_what_the_vocabulary_knows(paper: KgWorld):
    told = await shown(paper, NORTH, YARD, BUILT, "Action: get_relations(#0)", ATTRIBUTES)
    assert told == [
        "Observation: [boats.ship_builder.ships_built]",
        TYPE,
        "Observation: [boats.ship.place_built]",
        "Observation: [boats.ship.launched, boats.ship.length_overall]",
    ]


async def test_a_superlative_keeps_ties_whatever_the_datatype(paper: KgWorld):
    longest = "Action: argmax(#0, boats.ship.length_overall)"
    assert await answers(paper, NORTH, YARD, BUILT, ATTRIBUTES, longest, "Final Answer: #1") == {
        "m.t_102",
        "m.t_103",
    }
    shortest = longest.replace("argmax", "argmin")
    assert await answers(paper, NORTH, YARD, BUILT, ATTRIBUTES, shortest, "Final Answer: #1") == {"m.t_104"}


async def test_literals_of_other_languages_and_topics_are_no_answers(paper: KgWorld):
    assert await answers(
        paper,
        SAMPLES["std/0"],
        "Action: get_relations(Ilka Dahl)",
        "Action: get_neighbors(Ilka Dahl, boats.ship_designer.boats_designed)",
        "Action: get_relations(variable #0)",
        "Action: get_neighbors(variable #0, boats.ship.place_built)",
        "Final Answer: #1",
    ) == {"m.t_302"}
    score, _ = await play(paper, SAMPLES["std/7"])  # the place contains itself
    assert (score.value, score.answer) == (1.0, "m.t_303, m.t_304")


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("Action: get_neighbors(North Yard, a.b.c)", "get_neighbors(North Yard, a.b.c) failed. Look at"),
        ("Action: get_relations(South Yard)", "get_relations(South Yard) failed. Look at"),
        ("Action: get_relations(#9)", "get_relations(#9) failed. Look at"),
        ("Action: get_relations(North Yard, x)", "get_relations(North Yard, x) failed. Look at"),
        (
            "Action: intersection(#0, #0, #0)",
            "intersection(#0, #0, #0) failed: the variables are of different",
        ),
        ("Action: intersection(#0,North Yard)", "intersection(#0, North Yard) failed: the variables"),
        ("Action: union(#0, #0)", "union(#0, #0) failed. Look at"),
        ("Action: sys(1)", "sys(1) failed. Look at"),
        ("Action: get_attributes(North Yard)", "get_attributes(North Yard) failed. Look at"),
        ("Action: argmax(#0, boats.ship.launched)", "argmax(#0, boats.ship.launched) failed. Look at"),
        ("Action: get_relations(North Yard", "The call of get_relations cannot be read"),
        ("Action: count(#7) get_relations(North Yard", "The call of get_relations cannot be read"),
        ("Action: sys(1) count(#8)", "count(#8) failed. Look at"),
        ("Action: look around", "No tool was called."),
        ("I think.\n Action: count(#0)", "No action was found."),
        ("Final Answer: #5", "There is no such variable."),
        ("Final Answer: #" + "9" * 5000, "There is no such variable."),
        ("Action: get_relations(#" + "9" * 5000 + ")", "get_relations(#999"),
        ("Action: f\\_g(1) count(#0)", "Observation: variable #1, a number"),
        ("Action: nothing(#0) Action: count(Variable #0) count(#0)", "Observation: variable #1, a number"),
        ("Action: count(#-1)", "Observation: variable #1, a number"),
        (
            "Action: count(#\uff10)\nObservation: the Final Answer: #0",
            "Observation: variable #1",
        ),
    ],
)
async def test_what_a_call_is_answered_with(paper: KgWorld, reply: str, text: str):
    told = await shown(paper, NORTH, YARD, BUILT, reply)
    assert told[1] == TYPE
    assert told[2].startswith(text)


async def test_the_history_keeps_the_cleaned_reply(paper: KgWorld):
    _, seen = await play(paper, NORTH, [f"{YARD}\nObservation: [made.up.relation]\nFinal Answer: #0"])
    assert seen[1].said == f"{YARD}\n"
    assert "made.up.relation" not in seen[1].messages[0].content


async def test_only_what_was_offered_in_this_episode_can_be_followed(paper: KgWorld):
    await shown(paper, NORTH, YARD)
    (told,) = await shown(paper, NORTH, BUILT)
    assert "failed" in told


@pytest.mark.parametrize(
    ("ident", "option"),
    [
        ("std/5", "robust_args"),
        ("std/6", "robust_args"),
        ("std/8", "type_check"),
        ("std/9", "fix_entity_regex"),
    ],
)
async def test_each_defect_costs_its_question_and_its_option_mends_it(ident: str, option: str):
    def names(profile: Profile) -> dict[str, bool]:
        return {option: getattr(kg_context(profile=profile).options, option)}

    values: list[float] = []
    for options in (names("paper"), names("fixed")):
        async with open_world(kg_context(oracle_ids=ident == "std/9", **options)) as world:
            got, _ = await play(world, SAMPLES[ident], oracle_ids=ident == "std/9")
            values.append(got.value)
    assert values == [0.0, 1.0]


async def test_a_number_of_a_superlative_is_malformed_upstream_and_counts_as_no_answer(paper: KgWorld):
    longest = "Action: argmax(#0, boats.ship.length_overall)"
    replies = [YARD, BUILT, ATTRIBUTES, longest, "Action: count(#1)", "Action: get_relations(#2)"]
    told = await shown(paper, NORTH, *replies)
    assert told[-2] == "Observation: variable #2, a number"
    assert told[-1].startswith("get_relations(#2) failed. Look at")
    got, seen = await play(paper, NORTH, [*replies, "Final Answer: #2"])
    assert seen[-1].done
    assert (got.value, got.outcome, got.metrics["executability"]) == (0.0, None, 0.0)
    assert "superlative" in got.note


async def test_fifteen_rounds_without_an_answer_are_the_limit(paper: KgWorld):
    got, seen = await play(paper, NORTH, [YARD] * 20)
    assert (got.value, got.outcome, len(seen)) == (0.0, "limit", 16)
    assert got.metrics["calls"] == 15
    got, _ = await play(paper, NORTH, [YARD, BUILT, *["Final Answer: #4"] * 12, "Final Answer: #0"])
    assert (got.outcome, got.metrics["answered"]) == (None, 1.0)


async def test_what_is_counted(paper: KgWorld):
    replies = ["Action: get_relations(Nowhere)", "Action: x(", "what?", YARD, BUILT, "Final Answer: #0"]
    got, _ = await play(paper, NORTH, replies)
    m = got.metrics
    assert (m["unknown_entities"], m["failed_calls"], m["unparsable_actions"], m["calls"]) == (1, 1, 2, 2)
    assert m["source/cwq"] == m["last_tool/argmax"] == got.value == pytest.approx(2 / 3)
    assert (m["em"], m["executability"], m["queries"], m["truncated"]) == (0.0, 1.0, 2, 0.0)


def test_f1():
    assert score.f1([], ["a"]) == score.f1(["b"], ["a"]) == 0.0
    assert score.f1(["a", "a"], ["a"]) == 1.0
    assert score.f1(["a", "b", "c"], ["a"]) == pytest.approx(0.5)


async def test_a_seeded_order_is_the_seeds(paper: KgWorld):
    async def listed(order: str, seed: int) -> str:
        async with open_world(kg_context(order=order)) as world:
            episode = await world.episode(NORTH, {}, seed)
            await episode.reset()
            for text in (YARD, BUILT):
                await episode.step(Reply(text))
            return (await episode.step(Reply(ATTRIBUTES))).messages[0].content

    orders = {await listed("seeded", seed) for seed in range(8)}
    assert len(orders) == 2
    assert await listed("seeded", 3) == await listed("seeded", 3)
    assert len({await listed("sorted", seed) for seed in range(4)}) == 1


async def test_intersections_of_intersections_do_not_grow(paper: KgWorld):
    """Fifteen calls could otherwise double a query fifteen times."""
    replies = [YARD, BUILT, *(f"Action: intersection(#{n}, #{n})" for n in range(12))]
    got, seen = await play(paper, NORTH, [*replies, "Final Answer: #12"])
    assert got.answer.count("m.t_") == 4
    assert seen[-1].info["program"] == "(JOIN boats.ship_builder.ships_built m.t_001)"


async def test_every_question_of_the_fixture_also_has_a_synthetic_graph():
    async with open_world(kg_context(profile="fixed", backend="synthetic")) as world:
        assert world.comparable == "synthetic graph"
        values = [(await play(world, sample, profile="fixed"))[0].value for sample in SAMPLES.values()]
    assert values == [1.0] * len(SAMPLES)


async def test_cancelling_a_query_leaves_the_store_usable(paper: KgWorld):
    episode = await paper.episode(NORTH, {}, 0)
    await episode.reset()
    work = asyncio.ensure_future(episode.step(Reply(YARD)))
    await asyncio.sleep(0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert (await shown(paper, NORTH, YARD)) == ["Observation: [boats.ship_builder.ships_built]"]


def test_the_fixture_is_read_like_the_mirror():
    dev = TASK.samples(replace(kg_context(FIXTURE), split="dev"))
    assert [sample.id for sample in dev] == ["dev/0", "dev/1"]
