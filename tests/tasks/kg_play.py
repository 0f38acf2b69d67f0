"""Plays questions of the Knowledge Graph, and evaluates programs without SPARQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from web_play import context, fixture_of

from harness.types import Context, Observation, Profile, Reply, Sample, Score
from tasks.knowledgegraph.program import And, Count, Extreme, Join, Program
from tasks.knowledgegraph.synthetic import Edge, is_entity
from tasks.knowledgegraph.task import TASK
from tasks.knowledgegraph.world import KgWorld

FIXTURE = fixture_of(TASK)


def kg_context(
    data: Path = FIXTURE, profile: Profile = "paper", split: str = "std", **options: Any
) -> Context:
    return replace(context(TASK, data, Path(), profile, **options), split=split)


async def play(world: KgWorld, sample: Sample, replies: Sequence[str] | None = None, **options: Any):
    """Play one question with these replies, or with the oracle; its score and what it was shown."""
    ctx = kg_context(**options)
    oracle = TASK.oracle(ctx, sample)
    left = iter(replies or ())
    episode = await world.episode(sample, {}, 0)
    seen: list[Observation] = [await episode.reset()]
    while not seen[-1].done:
        text = next(left, None) if replies is not None else await oracle.reply(seen[-1])
        if text is None:
            break
        seen.append(await episode.step(Reply(text)))
    score: Score = await episode.score()
    await episode.close()
    return score, seen


async def shown(world: KgWorld, sample: Sample, *replies: str) -> list[str]:
    """What the model is shown after each of these replies."""
    _, seen = await play(world, sample, replies)
    return [observation.messages[-1].content if observation.messages else "" for observation in seen[1:]]


def evaluate(program: Program, edges: Sequence[Edge]) -> set[str]:
    """The members of a program by plain search over the edges; for gold programs on synthetic graphs.

    Raises:
        AssertionError: a superlative that is not the whole program.
    """
    topics: set[str] = set()
    triples: list[tuple[str | int, str, str | int]] = []
    extremes: list[tuple[str, bool]] = []
    numbers = count(1)

    def add(part: Program, variable: int) -> None:
        if isinstance(part, Join):
            if isinstance(part.of, str):
                topics.add(part.of)
                triples.append((part.of, part.relation, variable))
                return
            inner = next(numbers)
            add(part.of, inner)
            triples.append((inner, part.relation, variable))
        elif isinstance(part, And):
            for one in part.parts:
                add(one, variable)
        elif isinstance(part, Extreme):
            assert variable == 0
            add(part.of, variable)
            extremes.append((part.attribute, part.largest))
        else:
            add(part.of, variable)

    add(program, 0)
    found = {row[0] for row in joined(triples, edges)}
    allowed = {value for value in found if value not in topics or not is_entity(str(value))}
    if isinstance(program, Count):
        return {str(len(allowed))}
    if not extremes:
        return {str(value) for value in allowed}
    ((attribute, largest),) = extremes
    values = {subject: value for subject, relation, value in edges if relation == attribute}
    ranked = [values[str(one)] for one in allowed if one in values]
    if not ranked:
        return set()
    best = max(ranked) if largest else min(ranked)  # type: ignore[type-var]
    return {str(one) for one in found if values.get(str(one)) == best}


def joined(
    triples: Sequence[tuple[str | int, str, str | int]], edges: Sequence[Edge]
) -> list[dict[int, Any]]:
    rows: list[dict[int, Any]] = [{}]
    for subject, relation, value in triples:
        grown: list[dict[int, Any]] = []
        for row in rows:
            for start, name, end in edges:
                if name != relation:
                    continue
                new = dict(row)
                if all(
                    (new.setdefault(term, is_now) if isinstance(term, int) else term) == is_now
                    for term, is_now in ((subject, start), (value, end))
                ):
                    grown.append(new)
        rows = grown
    return rows
