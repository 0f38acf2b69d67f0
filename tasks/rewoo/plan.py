"""Reads a plan and fills its variables, as upstream does or with its faults mended; pure functions."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks._shared.reading import balanced

NOTHING = "No evidence found"
Grammar = Literal["paper", "fixed"]

_VARIABLE = re.compile(r"#E\d+")

FILLED = 1_000_000
"""Most characters of an input with its variables filled; no tool takes more than some thousands."""

MET = 1 << 15
"""Most variables looked at while filling one input; only evidences that name others bring more."""


class TooLong(Exception):
    """An input grows beyond all bounds when its variables are filled: the plan's own failure."""


_BULLET = r"^\s*(?:[-*]\s+|\d+[.)]\s*)?"
_FIXED_PLAN = re.compile(_BULLET + r"plan(?:\s*\d+)?\s*:", re.IGNORECASE)
_FIXED_CALL = re.compile(_BULLET + r"#\s*E\s*(\d+)\s*[=:]\s*(.*)$", re.IGNORECASE)
_FIXED_TOOL = re.compile(r"\s*([A-Za-z]\w*)\s*\[")


class PlanError(Exception):
    """The plan cannot be followed; upstream's parser raised."""


@dataclass(frozen=True, slots=True)
class Call:
    """One evidence of a plan.

    Attributes:
        name: the variable, such as `#E1`.
        tool: which tool is called; None when the evidence is `text` itself.
        text: the tool's input with its variables not yet filled.
        needs: variables in the input that are computed before.
    """

    name: str
    tool: str | None
    text: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan in order; `shown` pairs each plan line with the evidences the solver sees under it."""

    calls: tuple[Call, ...]
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


def fill(text: str, evidence: Mapping[str, str], grammar: Grammar) -> str:
    """Put evidences, in brackets, in the place of their variables.

    Upstream replaces variable by variable, so that `#E1` also hits inside `#E10` and inside evidence
    filled in before; mended, all are replaced in one pass.

    Raises:
        TooLong: the result would have more than `FILLED` characters, or over `MET` variables; an evidence
            that names itself doubles at every variable.
    """
    wanted = [name for name in _VARIABLE.findall(text) if name in evidence]
    if grammar == "fixed":
        if len(text) + sum(len(evidence[name]) for name in wanted) > FILLED:
            raise TooLong(f"with its variables filled, an input has more than {FILLED} characters")
        return _VARIABLE.sub(
            lambda match: f"[{evidence[match[0]]}]" if match[0] in evidence else match[0], text
        )
    return _fill_in_turn(text, evidence, wanted) if wanted else text


def _fill_in_turn(text: str, evidence: Mapping[str, str], wanted: Sequence[str]) -> str:
    """What replacing the wanted variables everywhere, one after the other, comes to; in one pass.

    No replacement makes a variable out of two texts, for each is in brackets. So a variable is filled by the
    first turn whose name it begins with, and those in its evidence by later turns.
    """
    turns: dict[str, list[int]] = defaultdict(list)
    for turn, name in enumerate(wanted):
        turns[name].append(turn)
    lengths = sorted({len(name) for name in turns})
    pieces: list[str] = []
    size = met = 0
    # Texts being read, the innermost last: their variables to come, what is written, the first turn they see.
    reading = [(text, _VARIABLE.finditer(text), 0, 0)]
    while reading:
        source, variables, at, first = reading.pop()
        match = next(variables, None)
        if match is None:
            piece = source[at:] + ("]" if reading else "")
        elif found := _turn(match[0], first, turns, lengths):
            turn, name = found
            piece, inner = f"{source[at : match.start()]}[", evidence[name]
            reading.append((source, variables, match.start() + len(name), first))
            reading.append((inner, _VARIABLE.finditer(inner), 0, turn + 1))
        else:
            piece = ""
            reading.append((source, variables, at, first))
        pieces.append(piece)
        size, met = size + len(piece), met + (match is not None)
        if size > FILLED or met > MET:
            what = f"{FILLED} characters or {MET} variables"
            raise TooLong(f"with its variables filled, an input has more than {what}")
    return "".join(pieces)


def _turn(
    variable: str, first: int, turns: Mapping[str, Sequence[int]], lengths: Sequence[int]
) -> tuple[int, str] | None:
    """The earliest turn from `first` on whose name a variable begins with, and that name."""
    found: list[tuple[int, str]] = []
    for length in lengths:
        if length > len(variable):
            break
        name = variable[:length]
        mine = turns.get(name, ())
        n = bisect_left(mine, first)
        found += [(mine[n], name)] if n < len(mine) else []
    return min(found, default=None)


def worker_log(plan: Plan, evidence: Mapping[str, str]) -> str:
    """What the solver reads: each plan line and its evidence, no variables and no calls.

    Behind `FILLED` characters of evidence no more is shown.
    """
    parts: list[str] = []
    left = FILLED
    for line, names in plan.shown:
        # A plan may name one evidence under every line: all of it would grow with the square of the reply.
        found = "\n".join(evidence.get(name, NOTHING) for name in names or ("",)) if left > 0 else NOTHING
        left -= len(found)
        parts.append(f"{line}\nEvidence:\n{found}\n")
    return "".join(parts)


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
        # Names of two digits or more are dead upstream.
        values[name.strip()] = value.strip() if len(name.strip()) == 3 else NOTHING
    calls: dict[str, Call] = {}
    for name, value in values.items():
        calls[name] = _paper_call(name, value, calls)
    wanted = [f"#E{number}" for number in range(1, len(plans) + 1)]
    if missing := [name for name in wanted if name not in values]:
        raise PlanError(f"KeyError: {len(plans)} plans, but no {missing[0]}")
    shown = tuple((line, (name,)) for line, name in zip(plans, wanted, strict=True))
    return Plan(tuple(calls.values()), shown)


def _is_evidence(line: str) -> bool:
    """Upstream's test, which looks at characters a short line does not have."""
    if not line.startswith("#"):
        return False
    if len(line) < 2 or (line[1] == "E" and len(line) < 3):
        raise PlanError(f"IndexError: the line {line!r} is too short")
    return line[1] == "E" and line[2].isdigit()


def _paper_call(name: str, value: str, before: Container[str]) -> Call:
    if "[" not in value:
        return Call(name, None, value)
    tool, _, text = value.partition("[")
    # Upstream drops the last character whatever it is: an unclosed call loses a letter.
    return Call(name, tool, text[:-1], _needs(text[:-1], before))


def _needs(text: str, before: Container[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in _VARIABLE.findall(text) if name in before))


# -- the mended grammar


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
    calls: dict[str, Call] = {}
    for name, value in values.items():
        calls[name] = _fixed_call(name, value, calls, known)
    return Plan(tuple(calls.values()), tuple((line, tuple(names)) for line, names in shown))


def _fixed_call(name: str, value: str, before: Container[str], known: Mapping[str, str]) -> Call:
    match = _FIXED_TOOL.match(value)
    if match is None:
        return Call(name, None, value)
    text = balanced(value, match.end())
    return Call(name, known.get(match[1].lower(), match[1]), text, _needs(text, before))
