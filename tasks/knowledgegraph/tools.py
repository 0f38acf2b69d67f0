"""The seven tools of an episode, in an explicit table; they build programs and ask for relations."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random

from tasks.knowledgegraph.graph import Graph, QueryRefused
from tasks.knowledgegraph.program import Count, Extreme, Join, Program, both, canonical
from tasks.knowledgegraph.rows import Vocabulary
from tasks.knowledgegraph.sparql import MalformedProgram, predicates

_ENTITY = re.compile(r"[mf]\.[0-9A-Za-z_]+")
_ANY_ENTITY = re.compile(r"[mfg]\.[0-9A-Za-z_]+")


@dataclass(frozen=True, slots=True)
class Variable:
    """A result that later calls can name.

    Attributes:
        kind: the type its members have by the schema.
    """

    kind: str
    program: Program


Argument = Variable | str
Result = Variable | tuple[str, ...]


class CannotExecute(Exception):
    """A call that upstream answers with an error text."""


class UnknownEntity(CannotExecute):
    """A call on what is neither a variable nor an entity."""


@dataclass(frozen=True, slots=True)
class ToolRules:
    """The options that tools follow.

    Attributes:
        any_entity: ids `g...` and classes are entities too.
        same_type: an intersection needs variables of one type.
        seed: shuffles what is listed; None sorts it.
    """

    any_entity: bool = False
    same_type: bool = True
    seed: int | None = None


class KgTools:
    """The tools, with what they offered in this episode."""

    def __init__(self, graph: Graph, vocabulary: Vocabulary, rules: ToolRules) -> None:
        self._graph, self._vocabulary, self._rules = graph, vocabulary, rules
        self._relations: dict[str, frozenset[str]] = {}
        self._attributes: dict[str, frozenset[str]] = {}

    async def call(self, name: str, arguments: tuple[Argument, ...]) -> Result:
        """Execute a call.

        Raises:
            CannotExecute: no such tool, wrong arguments, or a query that the server refuses for its cost.
            InfraError: the graph could not be asked.
        """
        tool = TOOLS.get(name)
        if tool is None or len(arguments) != tool[1]:
            raise CannotExecute(name)
        return await tool[0](self, *arguments)

    async def get_relations(self, of: Argument) -> Result:
        subject = self._subject(of)
        found = await self._offer(subject, self._vocabulary.relations, self._relations)
        return self._ordered(found, f"relations {canonical(subject)}")

    async def get_neighbors(self, of: Argument, relation: Argument) -> Result:
        subject = self._subject(of)
        if not isinstance(relation, str) or relation not in self._relations.get(canonical(subject), ()):
            raise CannotExecute("the relation was not offered")
        return Variable(self._vocabulary.ranges[relation], Join(relation, subject))

    async def intersection(self, first: Argument, second: Argument) -> Result:
        one, other = _variable(first), _variable(second)
        if self._rules.same_type and one.kind != other.kind:
            raise CannotExecute("variables of different types")
        return Variable(one.kind, both(one.program, other.program))

    async def get_attributes(self, of: Argument) -> Result:
        program = _variable(of).program
        found = await self._offer(program, self._vocabulary.attributes, self._attributes)
        return self._ordered(found, f"attributes {canonical(program)}")

    async def argmax(self, of: Argument, attribute: Argument) -> Result:
        return self._extreme(of, attribute, largest=True)

    async def argmin(self, of: Argument, attribute: Argument) -> Result:
        return self._extreme(of, attribute, largest=False)

    async def count(self, of: Argument) -> Result:
        return Variable("type.int", Count(_variable(of).program))

    def _extreme(self, of: Argument, attribute: Argument, *, largest: bool) -> Variable:
        variable = _variable(of)
        offered = self._attributes.get(canonical(variable.program), ())
        if not isinstance(attribute, str) or attribute not in offered:
            raise CannotExecute("the attribute was not offered")
        return Variable(variable.kind, Extreme(variable.program, attribute, largest))

    def _subject(self, of: Argument) -> str | Program:
        if isinstance(of, Variable):
            return of.program
        known = of in self._vocabulary.classes or _ANY_ENTITY.fullmatch(of) is not None
        if not (known if self._rules.any_entity else _ENTITY.fullmatch(of)):
            raise UnknownEntity(of[:80])
        return of

    async def _offer(
        self, of: str | Program, known: frozenset[str], offered: dict[str, frozenset[str]]
    ) -> frozenset[str]:
        try:
            found = await self._graph.select(predicates(of))
        except (MalformedProgram, QueryRefused) as error:
            raise CannotExecute(str(error)) from error
        offered[canonical(of)] = names = known.intersection(found.values)
        return names

    def _ordered(self, names: frozenset[str], key: str) -> tuple[str, ...]:
        listed = sorted(names)
        if self._rules.seed is not None:
            Random(f"{self._rules.seed} {key}").shuffle(listed)
        return tuple(listed)


def _variable(argument: Argument) -> Variable:
    if not isinstance(argument, Variable):
        raise CannotExecute("a variable is needed")
    return argument


Tool = Callable[..., Awaitable[Result]]
TOOLS: Mapping[str, tuple[Tool, int]] = {
    "get_relations": (KgTools.get_relations, 1),
    "get_neighbors": (KgTools.get_neighbors, 2),
    "intersection": (KgTools.intersection, 2),
    "get_attributes": (KgTools.get_attributes, 1),
    "argmax": (KgTools.argmax, 2),
    "argmin": (KgTools.argmin, 2),
    "count": (KgTools.count, 1),
}
"""Each tool with the number of its arguments; upstream called any imported function of that name."""
