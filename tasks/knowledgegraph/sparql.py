"""Compiles programs to SPARQL 1.1 with absolute addresses, in the shape of upstream's queries.

No text of a model gets into a query: an identifier that is not one is refused. Prefixed names are not used,
because pyoxigraph's parser rejects those with two dots, as every relation of Freebase has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tasks.knowledgegraph.program import And, Count, Extreme, Join, Program, canonical

NAMESPACE = "http://rdf.freebase.com/ns/"
ROWS = 50_000
"""Most rows of an answer, as the server that upstream describes is set (ResultSetMaxRows)."""

_IDENTIFIER = re.compile(r"[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)+")
_TOPIC = re.compile(r"[mg]\.[0-9A-Za-z_]+")
_LANGUAGE = 'FILTER(!isLiteral(?x) || LANG(?x) = "" || LANGMATCHES(LANG(?x), "en"))'


class MalformedProgram(Exception):
    """A program for which upstream builds a query that no server can parse."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query for one column.

    Attributes:
        key: what is asked, without its wording; names the answer in caches and snapshots.
        text: the SPARQL, which the key determines.
    """

    key: str
    text: str


def address(identifier: str) -> str:
    """The absolute address of an entity, a class or a relation, in angle brackets.

    Raises:
        ValueError: it is no identifier of Freebase.
    """
    if not _IDENTIFIER.fullmatch(identifier):
        raise ValueError(f"no identifier of Freebase: {identifier[:80]!r}")
    return f"<{NAMESPACE}{identifier}>"


def predicates(of: str | Program) -> Query:
    """Ask for the relations that lead away from an entity, or from any member of a program.

    Those of other namespaces are among them: whoever asks compares with a vocabulary, which costs less than
    a filter on every edge.

    Raises:
        MalformedProgram: upstream has no query for it.
        ValueError: it names what is no identifier.
    """
    if isinstance(of, str):
        where = f"{address(of)} ?r ?o ."
    else:
        compiled = _Compiled.of(of)
        if compiled.counts:
            raise MalformedProgram("a number has no relations")
        where = f"{{ {compiled.select()} }} ?x ?r ?o ."
    return Query(f"relations {canonical(of)}", f"SELECT DISTINCT ?r WHERE {{ {where} }} LIMIT {ROWS + 1}")


def members(program: Program) -> Query:
    """Ask for a program's members, or for their number.

    Raises:
        MalformedProgram: upstream has no query for it.
        ValueError: it names what is no identifier.
    """
    compiled = _Compiled.of(program)
    text = compiled.select()
    return Query(f"members {canonical(program)}", text if compiled.counts else f"{text} LIMIT {ROWS + 1}")


@dataclass(slots=True)
class _Compiled:
    """The parts of a query.

    Attributes:
        patterns: triple patterns, each once, in order.
        topics: entities that the program names; none of them can be an answer.
        extremes: (variable, attribute, whether the largest) of each superlative.
    """

    patterns: dict[str, None] = field(default_factory=dict[str, None])
    topics: dict[str, None] = field(default_factory=dict[str, None])
    extremes: list[tuple[str, str, bool]] = field(default_factory=list[tuple[str, str, bool]])
    counts: bool = False
    variables: int = 0

    @classmethod
    def of(cls, program: Program) -> _Compiled:
        compiled = cls()
        compiled.add(program, "x")
        if len(compiled.extremes) > 1 or (compiled.extremes and compiled.counts):
            raise MalformedProgram("a superlative within another one, or counted")
        return compiled

    def add(self, program: Program, name: str) -> None:
        """Add a program whose members the variable `name` ranges over."""
        match program:
            case Join():
                self._join(program, name)
            case And():
                for part in program.parts:
                    self.add(part, name)
            case Extreme():
                self.add(program.of, name)
                self.extremes.append((name, address(program.attribute), program.largest))
            case Count():
                if name != "x":
                    raise MalformedProgram("a number has no relations")
                self.counts = True
                self.add(program.of, name)

    def _join(self, join: Join, name: str) -> None:
        relation = address(join.relation)
        if isinstance(join.of, str):
            if _TOPIC.fullmatch(join.of):
                self.topics[address(join.of)] = None
            self.patterns[f"{address(join.of)} {relation} ?{name} ."] = None
            return
        self.variables += 1
        inner = f"x{self.variables}"
        self.add(join.of, inner)
        self.patterns[f"?{inner} {relation} ?{name} ."] = None

    def select(self) -> str:
        """The query for ?x without a limit; with a superlative, ties are answers too.

        As upstream's, a superlative's value is found among the members that pass the filters, and every
        member with that value is an answer, whether it passes them or not. Values are compared as values:
        as terms, equal numbers of different datatypes would differ.
        """
        patterns = " ".join(self.patterns)
        filters = " ".join([_LANGUAGE, *(f"FILTER(?x != {topic})" for topic in self.topics)])
        if self.counts:
            return f"SELECT (COUNT(DISTINCT ?x) AS ?n) WHERE {{ {patterns} {filters} }}"
        if not self.extremes:
            return f"SELECT DISTINCT ?x WHERE {{ {patterns} {filters} }}"
        ((name, attribute, largest),) = self.extremes
        order = "DESC(?best)" if largest else "?best"
        inner = (
            f"SELECT ?best WHERE {{ {patterns} ?{name} {attribute} ?best . {filters} }} "
            f"ORDER BY {order} LIMIT 1"
        )
        return (
            f"SELECT DISTINCT ?x WHERE {{ {{ {inner} }} {patterns} ?{name} {attribute} ?value . "
            "FILTER(?value = ?best) }"
        )
