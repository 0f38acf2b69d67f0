"""One question: seven tools over the graph until a variable is named as the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from harness import tokens
from harness.errors import MissingRecord
from harness.types import Ask, Message, Observation, Reply, Sample, Score
from tasks.knowledgegraph import action, score
from tasks.knowledgegraph.action import KgCall
from tasks.knowledgegraph.graph import Found, Graph, QueryRefused
from tasks.knowledgegraph.program import canonical
from tasks.knowledgegraph.prompts import KgPrompts
from tasks.knowledgegraph.rows import Vocabulary
from tasks.knowledgegraph.sparql import MalformedProgram, Query, members
from tasks.knowledgegraph.tools import (
    TOOLS,
    Argument,
    CannotExecute,
    KgTools,
    ToolRules,
    UnknownEntity,
    Variable,
)

ROUNDS = 15
MAX_NEW_TOKENS = 128
LOGGED = 2000
COUNTED = ("calls", "failed_calls", "unparsable_actions", "unknown_entities", "obs_tokens", "queries")


@dataclass(frozen=True, slots=True)
class KgRules:
    """What all episodes of a run share.

    Attributes:
        names_first: an argument that is an entity's name may hold commas and parentheses.
    """

    ask: Ask
    tools: ToolRules
    names_first: bool = False


class KgEpisode:
    """Plays one question."""

    def __init__(
        self, sample: Sample, prompts: KgPrompts, vocabulary: Vocabulary, graph: Graph, rules: KgRules
    ) -> None:
        self._sample, self._prompts, self._rules = sample, prompts, rules
        self._entities: dict[str, str] = sample.data["entities"]
        self._graph = _Asked(graph)
        self._tools = KgTools(self._graph, vocabulary, rules.tools)
        self._variables: list[Variable] = []
        self._turns = 0
        self._counts: Counter[str] = Counter()
        self._answer: Found | None = None
        self._note = ""

    async def reset(self) -> Observation:
        opening = self._prompts.opening(self._sample.data["question"], self._entities)
        return Observation(opening, self._rules.ask)

    async def step(self, reply: Reply) -> Observation:
        self._turns += 1
        text = action.clean(reply.text)
        digits = action.final(text)
        if digits is not None:
            variable = self._numbered(digits)
            if variable is not None:
                self._answer = await self._members(variable)
                return Observation(done=True, said=text, info={"program": _logged(variable)})
            return self._shown(text, self._prompts.no_such_variable, {"final": digits[:20]})
        line = action.action_line(text)
        if line is None:
            self._counts["unparsable_actions"] += 1
            return self._shown(text, self._prompts.no_function, {})
        return await self._act(text, line)

    async def score(self) -> Score:
        predicted = self._answer.values if self._answer else ()
        gold = self._sample.data["answers"]
        counted = {name: float(self._counts[name]) for name in COUNTED}
        counted["queries"] = float(self._graph.asked)
        answered = {
            "answered": float(self._answer is not None),
            "truncated": float(self._answer is not None and self._answer.truncated),
        }
        return Score(
            score.f1(predicted, gold),
            {**score.metrics(predicted, gold, self._sample.labels), **answered, **counted},
            self._note,
            outcome="limit" if self._answer is None and self._turns >= ROUNDS else None,
            answer=", ".join(sorted(predicted)[:100]),
            target=", ".join(sorted(gold)[:100]),
        )

    async def close(self) -> None:
        """Nothing is held: the graph belongs to the world."""

    async def _act(self, text: str, line: str) -> Observation:
        """Try the calls on the action line until one succeeds; the message of the last one stays."""
        names, last = action.called(line)
        if not names:
            self._counts["unparsable_actions"] += 1
            return self._shown(text, self._prompts.not_executed, {})
        for name in names:
            if name in TOOLS and (shown := await self._tried(call := self._read(line, name))) is not None:
                return self._shown(text, shown, {"call": _written(call)})
        failed = self._read(line, last)
        self._counts["unparsable_actions" if failed.arguments is None else "failed_calls"] += 1
        return self._shown(text, self._prompts.failed(failed), {"failed": _written(failed)})

    def _read(self, line: str, name: str) -> KgCall:
        if self._rules.names_first:
            return action.read_names(line, name, self._entities)
        return action.read(line, name)

    async def _tried(self, call: KgCall) -> str | None:
        """What a successful call shows; None when it fails."""
        try:
            result = await self._tools.call(call.name, self._resolved(call))
        except CannotExecute as error:
            self._counts["unknown_entities"] += isinstance(error, UnknownEntity)
            return None
        self._counts["calls"] += 1
        if not isinstance(result, Variable):
            return self._prompts.listed(result)
        self._variables.append(result)
        number = len(self._variables) - 1
        return self._prompts.variable(number, result.kind, counted=call.name == "count")

    def _resolved(self, call: KgCall) -> tuple[Argument, ...]:
        if call.arguments is None:
            raise CannotExecute("the arguments cannot be read")
        return tuple(self._argument(argument) for argument in call.arguments)

    def _argument(self, argument: str) -> Argument:
        """The variable or the entity's id that an argument names; any other text stays as it is."""
        if self._rules.names_first and argument in self._entities:
            return self._entities[argument]
        bare = action.bare(argument)
        if bare.startswith("#"):
            if (variable := self._numbered(bare[1:])) is None:
                raise CannotExecute("no such variable")
            return variable
        return self._entities.get(bare, argument)

    def _numbered(self, digits: str) -> Variable | None:
        """A variable by its number, read as upstream does: `-1` is the last one, digits are of any script."""
        try:
            return self._variables[int(digits)]
        except (ValueError, IndexError):
            return None

    async def _members(self, variable: Variable) -> Found:
        """The members of the answer; none where upstream's query breaks or the server refuses it."""
        try:
            return await self._graph.select(members(variable.program))
        except (MalformedProgram, QueryRefused) as error:
            self._note = f"the answer has no members: {error}"
            return Found(())

    def _shown(self, said: str, text: str, info: dict[str, object]) -> Observation:
        if self._turns >= ROUNDS:
            return Observation(done=True, said=said, info={**info, "shown": text[:LOGGED]})
        self._counts["obs_tokens"] += _COUNT(text)
        return Observation((Message("user", text),), self._rules.ask, said=said, info=info)


class _Asked:
    """A graph that counts an episode's queries, and tells them when a snapshot lacks one."""

    def __init__(self, graph: Graph) -> None:
        self.name, self.facts = graph.name, graph.facts
        self._graph = graph
        self.asked = 0

    async def select(self, query: Query) -> Found:
        try:
            answer = await self._graph.select(query)
        except MissingRecord as error:
            raise MissingRecord(
                f"{error}; it had {self.asked} of this episode's {self.asked + 1} queries so far"
            ) from error
        self.asked += 1
        return answer


_COUNT: Callable[[str], int] = tokens.counter("segments")


def _written(call: KgCall) -> str:
    return f"{call.name}({', '.join(call.arguments or ('?',))})"[:LOGGED]


def _logged(variable: Variable) -> str:
    return canonical(variable.program)[:LOGGED]
