"""Runs a plan's calls: independent ones side by side, with the outcome of running them in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tasks.rewoo.action import NOTHING, Call, Grammar, Plan
from tasks.rewoo.tools.base import Evidence, ToolError
from tasks.rewoo.variables import TooLong, fill

Use = Callable[[Call, str], Awaitable[Evidence]]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one call.

    Attributes:
        text: the input as filled; under the mended grammar only that of a tool which was asked is filled.
        source: where the evidence is from.
    """

    name: str
    tool: str
    text: str
    evidence: str
    source: str = ""
    missed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Results in plan order up to the first failure; later ones do not count, as if never asked."""

    results: tuple[Result, ...]
    failure: str = ""

    @property
    def evidence(self) -> Mapping[str, str]:
        """Evidence by variable."""
        return {result.name: result.evidence for result in self.results}


@dataclass(frozen=True, slots=True)
class Rules:
    """How calls are run.

    Attributes:
        known: tools of the data set; any other gives no evidence.
        cap: tool calls per episode, counted in plan order; further ones give no evidence.
        errors_as_text: a failing tool becomes evidence instead of ending the episode.
    """

    grammar: Grammar
    known: frozenset[str]
    cap: int
    errors_as_text: bool = False
    parallel: bool = True


async def execute(plan: Plan, use: Use, rules: Rules) -> Outcome:
    """Run all calls of a plan.

    `use` calls a tool with an input whose variables are filled.

    Raises:
        InfraError: a tool's service failed; of several failures the first in plan order decides.
    """
    allowed = _allowed(plan, rules)
    tasks: dict[str, asyncio.Task[Result]] = {}
    done: dict[str, Result] = {}

    async def work(call: Call) -> Result:
        if needed := [tasks[name] for name in call.needs]:
            # Waiting does not raise: a failed need ends the plan before this call is looked at.
            await asyncio.wait(needed)
        evidence = {name: tasks[name].result().evidence for name in call.needs}
        return await _result(call, evidence, use, rules, allowed)

    try:
        for call in plan.calls:
            task = tasks[call.name] = asyncio.create_task(work(call))
            if not rules.parallel:
                await asyncio.wait([task])
                if task.exception() is not None:
                    break
        for call in plan.calls:
            try:
                done[call.name] = await tasks[call.name]
            except ToolError as error:
                return Outcome(tuple(done.values()), f"{call.tool}: {error}")
        return Outcome(tuple(done.values()))
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


def _allowed(plan: Plan, rules: Rules) -> frozenset[str]:
    """The calls within the cap, decided before anything runs so that no timing can change it."""
    real = [call.name for call in plan.calls if call.tool in rules.known]
    return frozenset(real[: rules.cap])


async def _result(
    call: Call, evidence: Mapping[str, str], use: Use, rules: Rules, allowed: frozenset[str]
) -> Result:
    if call.tool is None:
        return Result(call.name, "", call.text, call.text, "plan")
    asked = call.tool in rules.known and call.name in allowed
    try:
        # Upstream fills before it looks for the tool. Mended, a plan's thousands of calls that nobody takes
        # do not each copy the long evidence that they name.
        text = fill(call.text, evidence, rules.grammar) if asked or rules.grammar == "paper" else call.text
    except TooLong as error:
        if not rules.errors_as_text:
            raise ToolError(str(error)) from error
        return Result(call.name, call.tool, "", f"{call.tool} failed: {error}", "error")
    if not asked:
        why = "capped" if call.tool in rules.known else "unknown"
        return Result(call.name, call.tool, text, NOTHING, why)
    try:
        found = await use(call, text)
    except ToolError as error:
        if not rules.errors_as_text:
            raise
        return Result(call.name, call.tool, text, f"{call.tool} failed: {error}", "error")
    return Result(call.name, call.tool, text, found.text, found.source, found.missed)
