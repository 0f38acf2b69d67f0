"""Reads a planner's reply into a plan, as upstream does or with its faults repaired; pure functions."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks._shared.reading import balanced

NOTHING = "No evidence found"
Grammar = Literal["paper", "fixed"]

VARIABLE = re.compile(r"#E\d+")
"""How a plan names an evidence."""

_BULLET = r"^\s*(?:[-*]\s+|\d+[.)]\s*)?"
_FIXED_PLAN = re.compile(_BULLET + r"plan(?:\s*\d+)?\s*:", re.IGNORECASE)
_FIXED_CALL = re.compile(_BULLET + r"#\s*E\s*(\d+)\s*[=:]\s*(.*)$", re.IGNORECASE)
_FIXED_TOOL = re.compile(r"\s*([A-Za-z]\w*)\s*\[")


class PlanError(Exception):
    """The plan cannot be followed, as upstream's parser raised an exception."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One evidence of a plan.

    Attributes:
        name: the variable, such as `#E1`.
        tool: which tool is called; None when the evidence is `text` itself.
        text: the tool's input with its variables not yet filled.
        needs: variables in the input whose evidence is computed before.
    """

    name: str
    tool: str | None
    text: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan in order; `shown` has each plan line with the variables of the evidence under it."""

    calls: tuple[ToolCall, ...]
    shown: tuple[tuple[str, tuple[str, ...]], ...]


def read(text: str, grammar: Grammar, tools: Sequence[str]) -> Plan:
    """Parse a planner's reply.

    Args:
        text: the reply, cut and stripped.
        grammar: upstream's line rules, or tolerant ones.
        tools: names of the tools this data set has.

    Raises:
        PlanError: upstream's parser would have raised (`paper` only).
    """
    return _read_paper(text) if grammar == "paper" else _read_fixed(text, tools)


# -- upstream's grammar


def _read_paper(text: str) -> Plan:
    lines = text.splitlines()
    plans = [line for line in lines if line.startswith("Plan:")]
    values: dict[str, str] = {}
    for line in lines:
        if not _is_evidence(line):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise PlanError(f"ValueError: no `=` in {line[:80]!r}")
        # Upstream never fills a variable of two digits or more.
        values[name.strip()] = value.strip() if len(name.strip()) == 3 else NOTHING
    calls: dict[str, ToolCall] = {}
    for name, value in values.items():
        calls[name] = _paper_call(name, value, calls)
    wanted = [f"#E{number}" for number in range(1, len(plans) + 1)]
    if missing := [name for name in wanted if name not in values]:
        raise PlanError(f"KeyError: {len(plans)} plans, but no {missing[0]}")
    shown = tuple((line, (name,)) for line, name in zip(plans, wanted, strict=True))
    return Plan(tuple(calls.values()), shown)


def _is_evidence(line: str) -> bool:
    """Upstream's test; it raises where a line is too short for it."""
    if not line.startswith("#"):
        return False
    if len(line) < 2 or (line[1] == "E" and len(line) < 3):
        raise PlanError(f"IndexError: the line {line!r} is too short")
    return line[1] == "E" and line[2].isdigit()


def _paper_call(name: str, value: str, before: Container[str]) -> ToolCall:
    if "[" not in value:
        return ToolCall(name, None, value)
    tool, _, text = value.partition("[")
    # Upstream drops the last character, whatever it is: an unclosed call loses a letter.
    return ToolCall(name, tool, text[:-1], _needs(text[:-1], before))


def _needs(text: str, before: Container[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in VARIABLE.findall(text) if name in before))


# -- the fixed grammar


def _read_fixed(text: str, tools: Sequence[str]) -> Plan:
    known = {tool.lower(): tool for tool in tools}
    values: dict[str, str] = {}
    shown: list[tuple[str, dict[str, None]]] = []  # names in order, each once
    for line in text.splitlines():
        if _FIXED_PLAN.match(line):
            shown.append((line.strip(), {}))
        elif match := _FIXED_CALL.match(line):
            name = f"#E{match[1].lstrip('0') or '0'}"
            values[name] = match[2].strip()
            if shown:
                shown[-1][1].setdefault(name)
    calls: dict[str, ToolCall] = {}
    for name, value in values.items():
        calls[name] = _fixed_call(name, value, calls, known)
    return Plan(tuple(calls.values()), tuple((line, tuple(names)) for line, names in shown))


def _fixed_call(name: str, value: str, before: Container[str], known: Mapping[str, str]) -> ToolCall:
    match = _FIXED_TOOL.match(value)
    if match is None:
        return ToolCall(name, None, value)
    text = balanced(value, match.end())
    return ToolCall(name, known.get(match[1].lower(), match[1]), text, _needs(text, before))
