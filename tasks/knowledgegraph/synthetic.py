"""Makes the smallest graph on which a gold program gives its gold answer: a closed world, not Freebase.

Each sample has a graph of its own: in one graph for all, some counts would change each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count

from tasks.knowledgegraph.rows import PRODUCERS, GoldCall

BEST = {"argmax": 100, "argmin": 1}
WORSE = (10, 11, 12)
"""Values of the members that a superlative must leave out; also how many others an intersection has."""

_TOPIC = re.compile(r"[mg]\.\w+")

Edge = tuple[str, str, str | int]
"""Subject, relation, and an object: an id, a text that is no id, or a number."""


def edges(calls: Sequence[GoldCall], answers: Sequence[str]) -> list[Edge]:
    """Derive the edges that a program needs, from its last call back to its entities.

    Args:
        calls: the gold program.
        answers: what its last variable must denote.
    """
    producers = [call for call in calls if call.name in PRODUCERS]
    fresh = (f"m.synthetic_{number}" for number in count())
    wanted: list[dict[str, None]] = [{} for _ in producers]
    if producers:
        wanted[-1] = dict.fromkeys(answers)
    made: dict[Edge, None] = {}
    for place in reversed(range(len(producers))):
        made.update(dict.fromkeys(_edges_of(producers[place], list(wanted[place]), wanted, fresh)))
    return list(made)


def is_entity(value: str) -> bool:
    """Whether an answer is an id of the graph; any other is a literal."""
    return _TOPIC.fullmatch(value) is not None


def _edges_of(
    call: GoldCall, needed: list[str], wanted: list[dict[str, None]], fresh: Iterator[str]
) -> Iterator[Edge]:
    """The edges of one call, whose operands get the members that they need for it."""
    first = call.arguments[0]
    operand = wanted[int(first[1:])] if first.startswith("#") else None
    if call.name == "get_neighbors":
        sources = [first]
        if operand is not None:
            sources = [next(fresh)]
            operand.update(dict.fromkeys(sources))
        yield from ((source, call.arguments[1], member) for source in sources for member in needed)
    elif operand is None:
        return
    elif call.name == "count":
        operand.update((next(fresh), None) for _ in range(int(needed[0])))
    elif call.name == "intersection":
        for one in (operand, wanted[int(call.arguments[1][1:])]):
            one.update(dict.fromkeys(needed))
            one.update((next(fresh), None) for _ in WORSE)
    else:
        worse = {next(fresh): value for value in WORSE}
        operand.update(dict.fromkeys([*needed, *worse]))
        yield from ((member, call.arguments[1], BEST[call.name]) for member in needed)
        yield from ((member, call.arguments[1], value) for member, value in worse.items())
