"""Programs: the meaning of a variable, as a small algebra over the graph; nothing here is executed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Join:
    """All objects of `relation` whose subject is the entity, or a member of the program, `of`."""

    relation: str
    of: str | Program


@dataclass(frozen=True, slots=True)
class And:
    """What belongs to every part; made by `both`, which keeps each part once and in a fixed order."""

    parts: tuple[Program, ...]


@dataclass(frozen=True, slots=True)
class Extreme:
    """The members of `of` with the largest (or smallest) value of an attribute, ties included."""

    of: Program
    attribute: str
    largest: bool


@dataclass(frozen=True, slots=True)
class Count:
    """How many members `of` has."""

    of: Program


Program = Join | And | Extreme | Count


def both(first: Program, second: Program) -> Program:
    """Intersect; the result does not depend on the order, nor grows when a part is named again."""
    parts = {canonical(part): part for whole in (first, second) for part in _parts(whole)}
    ordered = tuple(parts[key] for key in sorted(parts))
    return ordered[0] if len(ordered) == 1 else And(ordered)


def canonical(program: Program | str) -> str:
    """Write a program as text; equal texts mean equal queries. An entity is its own text."""
    match program:
        case str():
            return program
        case Join():
            return f"(JOIN {program.relation} {canonical(program.of)})"
        case And():
            return f"(AND {' '.join(map(canonical, program.parts))})"
        case Extreme():
            name = "ARGMAX" if program.largest else "ARGMIN"
            return f"({name} {canonical(program.of)} {program.attribute})"
        case Count():
            return f"(COUNT {canonical(program.of)})"


def _parts(program: Program) -> Iterator[Program]:
    if isinstance(program, And):
        yield from program.parts
    else:
        yield program
