"""Runs the calls of a plan: independent ones in parallel, with the same outcome as in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tasks.rewoo.action import NOTHING, Grammar, Plan, ToolCall
from tasks.rewoo.tools.base import Evidence, ToolError
from tasks.rewoo.variables import fill

Use = Callable[[ToolCall, str], Awaitable[Evidence]]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one call.

    Attributes:
        text: the input, filled; under the fixed grammar it is filled only where a tool was asked.
        source: the origin of the evidence.
    """

    name: str
    tool: str
    text: str
    evidence: str
    source: str = ""
    missed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Results in plan order up to the first failure; later calls do not count."""

    results: tuple[Result, ...]
    failure: str = ""

    @property
    def evidence(self) -> Mapping[str, str]:
        """Evidence by variable."""
        return {result.name: result.evidence for result in self.results}


@dataclass(frozen=True, slots=True)
class ExecutionRules:
    """The rules by which calls are run.

    Attributes:
        known: tools of the data set; a call of any other gives no evidence.
        cap: tool calls per episode, counted in plan order; further ones give no evidence.
    """

    grammar: Grammar
    known: frozenset[str]
    cap: int
    parallel: bool = True

    @property
    def errors_as_text(self) -> bool:
        """Whether a failing tool becomes evidence instead of ending the episode."""
        return self.grammar == "fixed"


async def execute(plan: Plan, use: Use, rules: ExecutionRules) -> Outcome:
    """Run all calls of a plan.

    `use` calls a tool with an input whose variables are filled.

    Raises:
        InfraError: a tool's service failed; of several failures the first in plan order decides.
    """
    asked = _asked_names(plan, rules)
    tasks: dict[str, asyncio.Task[Result]] = {}
    done: dict[str, Result] = {}
    # The evidence of a call that asks no tool is known before anything runs. Such calls get no tasks, as a
    # hostile plan has thousands of them.
    known = {call.name: _own_evidence(call) for call in plan.calls if call.name not in asked}

    async def work(call: ToolCall) -> Result:
        if needed := [tasks[name] for name in call.needs if name in tasks]:
            # Waiting does not raise: a failed need ends the plan before this call is looked at.
            await asyncio.wait(needed)
        evidence = {
            name: known[name] if name in known else tasks[name].result().evidence for name in call.needs
        }
        return await _asked_result(call, evidence, use, rules)

    try:
        for call in plan.calls if rules.parallel else ():
            if call.name in asked:
                tasks[call.name] = asyncio.create_task(work(call))
        for call in plan.calls:
            try:
                if call.name not in asked:
                    done[call.name] = _unasked_result(call, done, rules)
                    continue
                if not rules.parallel:
                    tasks[call.name] = asyncio.create_task(work(call))
                done[call.name] = await tasks[call.name]
            except ToolError as error:
                return Outcome(tuple(done.values()), f"{call.tool}: {error}")
        return Outcome(tuple(done.values()))
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


def _asked_names(plan: Plan, rules: ExecutionRules) -> frozenset[str]:
    """The calls within the cap, decided before anything runs so that no timing can change it."""
    real = [call.name for call in plan.calls if call.tool in rules.known]
    return frozenset(real[: rules.cap])


def _own_evidence(call: ToolCall) -> str:
    """The evidence of a call that asks no tool."""
    return call.text if call.tool is None else NOTHING


def _unasked_result(call: ToolCall, done: Mapping[str, Result], rules: ExecutionRules) -> Result:
    if call.tool is None:
        return Result(call.name, "", call.text, call.text, "plan")
    text = call.text
    if rules.grammar == "paper":
        # Upstream fills an input before it looks for the tool. Under the fixed grammar the thousands of calls
        # that ask nothing do not each copy the long evidence that they name.
        text = fill(text, {name: done[name].evidence for name in call.needs}, rules.grammar)
    return Result(call.name, call.tool, text, NOTHING, "capped" if call.tool in rules.known else "unknown")


async def _asked_result(
    call: ToolCall, evidence: Mapping[str, str], use: Use, rules: ExecutionRules
) -> Result:
    text = ""
    try:
        text = fill(call.text, evidence, rules.grammar)
        found = await use(call, text)
    except ToolError as error:
        if not rules.errors_as_text:
            raise
        return Result(call.name, str(call.tool), text, f"{call.tool} failed: {error}", "error")
    return Result(call.name, str(call.tool), text, found.text, found.source, found.missed)
