"""ReWOO's plans: both grammars, substitution, and parallel evidence equal to sequential."""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InfraError
from tasks.rewoo.action import NOTHING, Plan, PlanError, ToolCall, read
from tasks.rewoo.execute import ExecutionRules, Outcome, execute
from tasks.rewoo.prompts import worker_log
from tasks.rewoo.tools.base import Evidence, ToolError
from tasks.rewoo.variables import fill

TOOLS = ("Wikipedia", "LLM", "Calculator")
N = NOTHING


def calls(text: str, grammar: str = "paper") -> list[tuple[str, str | None, str]]:
    return [(c.name, c.tool, c.text) for c in read(text, grammar, TOOLS).calls]  # type: ignore[arg-type]


PAPER = {
    "one call": ("Plan: a\n#E1 = LLM[x]", [("#E1", "LLM", "x")]),
    "no spaces": ("Plan: a\n#E1=LLM[x]", [("#E1", "LLM", "x")]),
    "windows lines": ("Plan: a\r\n#E1 = LLM[x]\r\n", [("#E1", "LLM", "x")]),
    "unclosed call loses a letter": ("Plan: a\n#E1 = LLM[what is", [("#E1", "LLM", "what i")]),
    "full stop after the call": ("Plan: a\n#E1 = LLM[x].", [("#E1", "LLM", "x]")]),
    "empty input": ("Plan: a\n#E1 = LLM[", [("#E1", "LLM", "")]),
    "brackets inside": ("Plan: a\n#E1 = LLM[a [b] c]", [("#E1", "LLM", "a [b] c")]),
    "equals inside": ("Plan: a\n#E1 = LLM[a = b]", [("#E1", "LLM", "a = b")]),
    "blank before the bracket": ("Plan: a\n#E1 = LLM [x]", [("#E1", "LLM ", "x")]),
    "lower case tool": ("Plan: a\n#E1 = llm[x]", [("#E1", "llm", "x")]),
    "value without a call": ("Plan: a\n#E1 = forty two", [("#E1", None, "forty two")]),
    "two digits are dead": ("Plan: a\n#E1 = 1\n#E10 = LLM[x]", [("#E1", None, "1"), ("#E10", None, N)]),
    "letter after the digit is dead": (
        "Plan: a\n#E1 = 1\n#E1a = LLM[x]",
        [("#E1", None, "1"), ("#E1a", None, N)],
    ),
    "first place, last value": (
        "Plan: a\n#E1 = 1\n#E2 = 2\n#E1 = 3",
        [("#E1", None, "3"), ("#E2", None, "2")],
    ),
    "number zero": ("#E0 = LLM[x]", [("#E0", "LLM", "x")]),
    "indented evidence is ignored": (" #E1 = LLM[x]", []),
    "lower case e is ignored": ("#e1 = LLM[x]", []),
    "heading is ignored": ("# Plan", []),
    "blank in the name is ignored": ("#E 1 = LLM[x]", []),
    "unicode": ("Plan: ü\n#E1 = LLM[中文 – é]", [("#E1", "LLM", "中文 – é")]),  # noqa: RUF001
    "more evidences than plans": ("#E1 = LLM[x]\n#E2 = LLM[y]", [("#E1", "LLM", "x"), ("#E2", "LLM", "y")]),
    "nothing": ("", []),
    "prose": ("I would search.\nThen answer.", []),
}


@pytest.mark.parametrize("name", PAPER)
def test_upstreams_grammar(name: str):
    text, expected = PAPER[name]
    assert calls(text) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("#", "IndexError"),
        ("Plan: a\n#E", "IndexError"),
        ("#E1: LLM[x]", "ValueError"),
        ("#E1", "ValueError"),
        ("Plan: a", "KeyError"),
        ("Plan: a\n#E2 = LLM[x]", "KeyError"),
        ("Plan: a\n#E1 = 1\nPlan: b\n#E3 = 2", "KeyError"),
        ("Plan: a\n#E1 = 1\n" * 2 + "Plan: c\n", "KeyError"),
    ],
)
def test_where_upstream_raised(text: str, kind: str):
    with pytest.raises(PlanError, match=kind):
        read(text, "paper", TOOLS)
    read(text, "fixed", TOOLS)


def test_only_lines_that_start_with_plan_are_plans():
    text = "1. Plan: a\nPlan 2: b\nplan: c\n Plan: d\nPlan:e\n#E1 = 5"
    assert read(text, "paper", TOOLS).shown == (("Plan:e", ("#E1",)),)
    assert [line for line, _ in read(text, "fixed", TOOLS).shown] == [
        "1. Plan: a",
        "Plan 2: b",
        "plan: c",
        "Plan: d",
        "Plan:e",
    ]


FIXED = {
    "unclosed call": ("#E1 = LLM[what is", [("#E1", "LLM", "what is")]),
    "full stop": ("#E1 = LLM[x].", [("#E1", "LLM", "x")]),
    "balanced": ("#E1 = LLM[a [b] c] and [d]", [("#E1", "LLM", "a [b] c")]),
    "name trimmed and in any case": ("#E1 = llm [x]", [("#E1", "LLM", "x")]),
    "unknown tool": ("#E1 = Oracle[x]", [("#E1", "Oracle", "x")]),
    "colon": ("#E1: LLM[x]", [("#E1", "LLM", "x")]),
    "two digits": ("#E12 = LLM[x]", [("#E12", "LLM", "x")]),
    "bullets": ("- Plan: a\n* #E1 = LLM[x]", [("#E1", "LLM", "x")]),
    "lower case": ("plan: a\n#e1 = LLM[x]", [("#E1", "LLM", "x")]),
    "value": ("#E1 = 42", [("#E1", None, "42")]),
}


@pytest.mark.parametrize("name", FIXED)
def test_mended_grammar(name: str):
    text, expected = FIXED[name]
    assert calls(text, "fixed") == expected


def test_mended_pairing_is_by_adjacency():
    text = "Plan: a\n#E3 = 1\nPlan: b\nPlan: c\n#E4 = 2\n#E5 = 3"
    plan = read(text, "fixed", TOOLS)
    assert plan.shown == (("Plan: a", ("#E3",)), ("Plan: b", ()), ("Plan: c", ("#E4", "#E5")))
    evidence = {"#E3": "one", "#E4": "two", "#E5": "three"}
    assert worker_log(plan, evidence) == (
        "Plan: a\nEvidence:\none\nPlan: b\nEvidence:\nNo evidence found\nPlan: c\nEvidence:\ntwo\nthree\n"
    )


def test_upstreams_worker_log_pairs_by_number():
    plan = read("#E2 = b\n#E1 = a\nPlan: x\nPlan: y\n#E3 = unseen", "paper", TOOLS)
    evidence = {call.name: call.text for call in plan.calls}
    assert worker_log(plan, evidence) == "Plan: x\nEvidence:\na\nPlan: y\nEvidence:\nb\n"


def test_a_redefined_variable_never_needs_what_comes_after_it():
    text = "#E1 = 1\n#E2 = LLM[#E1]\n#E1 = LLM[#E2]"
    for grammar in ("paper", "fixed"):
        plan = read(text, grammar, TOOLS)  # type: ignore[arg-type]
        assert [(c.name, c.needs) for c in plan.calls] == [("#E1", ()), ("#E2", ("#E1",))]


@pytest.mark.parametrize(
    ("text", "paper", "fixed"),
    [
        ("x #E1 y", "x [one] y", "x [one] y"),
        ("#E1#E1", "[one][one]", "[one][one]"),
        ("#E9", "#E9", "#E9"),
        ("#E1 and #E10", "[one] and [one]0", "[one] and #E10"),
        ("#E3 then #E1", "[see [one]] then [one]", "[see #E1] then [one]"),
        ("#E1 then #E3", "[one] then [see #E1]", "[one] then [see #E1]"),
        ("#E", "#E", "#E"),
    ],
)
def test_substitution(text: str, paper: str, fixed: str):
    evidence = {"#E1": "one", "#E3": "see #E1"}
    assert fill(text, evidence, "paper") == paper
    assert fill(text, evidence, "fixed") == fixed


@given(st.text(alphabet=list("PlanE#0123=[]: \nLMx\r\u2028"), max_size=200))
def test_no_reply_breaks_a_parser(text: str):
    read(text, "fixed", TOOLS)
    try:
        plan = read(text, "paper", TOOLS)
    except PlanError:
        return
    names = [call.name for call in plan.calls]
    assert all(set(call.needs) <= set(names[: names.index(call.name)]) for call in plan.calls)


# -- execution


def tool(seed: int, *, failing: int, broken: int = 0):
    """A deterministic tool with latencies of its own; some inputs fail, some break the service."""
    chance = random.Random(seed)

    async def use(call: ToolCall, text: str) -> Evidence:
        for _ in range(chance.randrange(8)):
            await asyncio.sleep(0)
        mark = int(hashlib.sha256(f"{call.tool}{text}".encode()).hexdigest(), 16) % 100
        if mark < failing:
            raise ToolError(f"refused {text[:20]}")
        if mark < failing + broken:
            raise InfraError("service down")
        return Evidence(f"{call.tool}({text})"[:60] + (" #E2" if mark > 90 else ""), "live")

    return use


inputs = st.lists(
    st.sampled_from(["x", " ", "#E1", "#E2", "#E3", "#E5", "#E9", "#E10", "[", "]"]), max_size=5
)
lines = st.tuples(st.integers(0, 11), st.sampled_from([*TOOLS, "Google", ""]), inputs.map("".join))
plans = st.lists(lines, max_size=12).map(
    lambda rows: "\n".join(f"#E{n} = {name}[{text}]" if name else f"#E{n} = {text}" for n, name, text in rows)
)


def outcome(plan: Plan, use: object, rules: ExecutionRules) -> tuple[str, Outcome | None]:
    try:
        return "", asyncio.run(execute(plan, use, rules))  # type: ignore[arg-type]
    except InfraError as error:
        return str(error), None


@given(
    text=plans,
    seeds=st.tuples(st.integers(0, 999), st.integers(0, 999)),
    grammar=st.sampled_from(["paper", "fixed"]),
    failing=st.sampled_from([0, 10, 40]),
    broken=st.sampled_from([0, 20]),
    cap=st.integers(0, 12),
)
def test_parallel_equals_sequential_under_any_latencies(
    text: str, seeds: tuple[int, int], grammar: str, failing: int, broken: int, cap: int
):
    try:
        plan = read(text, grammar, TOOLS)  # type: ignore[arg-type]
    except PlanError:
        return
    rules = ExecutionRules(grammar, frozenset(TOOLS), cap)  # type: ignore[arg-type]
    together = outcome(plan, tool(seeds[0], failing=failing, broken=broken), rules)
    in_turn = outcome(plan, tool(seeds[1], failing=failing, broken=broken), replace(rules, parallel=False))
    assert together == in_turn


async def test_independent_calls_overlap_and_dependent_ones_wait():
    running, most, order = 0, 0, []
    both = asyncio.Event()

    async def use(call: ToolCall, text: str) -> Evidence:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 2:
            both.set()
        if call.name in ("#E1", "#E2"):
            await asyncio.wait_for(both.wait(), 10)  # ends only when the other one runs too
        running -= 1
        order.append((call.name, text))
        return Evidence(text, "live")

    plan = read("#E1 = LLM[a]\n#E2 = LLM[b]\n#E3 = LLM[#E1 #E2]", "paper", TOOLS)
    found = await execute(plan, use, ExecutionRules("paper", frozenset(TOOLS), 16))
    assert most == 2
    assert order[-1] == ("#E3", "[a] [b]")
    assert [result.evidence for result in found.results] == ["a", "b", "[a] [b]"]


async def test_the_cap_counts_real_calls_in_plan_order():
    asked: list[str] = []

    async def use(call: ToolCall, text: str) -> Evidence:
        asked.append(call.name)
        return Evidence("found", "live")

    plan = read(
        "\n".join(f"#E{n} = {'Google' if n == 2 else 'LLM'}[x]" for n in range(1, 21)), "fixed", TOOLS
    )
    found = await execute(plan, use, ExecutionRules("fixed", frozenset(TOOLS), 16))
    assert len(asked) == 16
    assert [r.source for r in found.results] == ["live", "unknown", *["live"] * 15, *["capped"] * 3]
    assert [r.evidence for r in found.results[-3:]] == [NOTHING] * 3


async def test_cancelling_leaves_no_call_behind():
    started, stopped = asyncio.Event(), []

    async def use(call: ToolCall, text: str) -> Evidence:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(call.name)
        raise AssertionError

    plan = read("#E1 = LLM[a]\n#E2 = LLM[b]\n#E3 = LLM[#E1]", "paper", TOOLS)
    task = asyncio.create_task(execute(plan, use, ExecutionRules("paper", frozenset(TOOLS), 16)))
    await asyncio.wait_for(started.wait(), 10)
    before = asyncio.all_tasks()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sorted(stopped) == ["#E1", "#E2"]
    assert all(other.done() for other in before if other is not asyncio.current_task())
