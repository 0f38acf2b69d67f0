"""Fills the variables of a tool's input with the evidence they name; pure functions."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tasks.rewoo.action import VARIABLE, Grammar
from tasks.rewoo.tools.base import ToolError

FILLED = 1_000_000
"""Most characters of an input with its variables filled; no tool takes more than a few thousand."""

MET = 1 << 15
"""Most variables looked at while filling one input; only evidence that names variables can have more."""


class TooLong(ToolError):
    """An input grows beyond the limits when its variables are filled: a failure of the plan."""


def fill(text: str, evidence: Mapping[str, str], grammar: Grammar) -> str:
    """Replace variables by their evidence in brackets.

    Upstream replaces variable by variable, so that `#E1` also matches inside `#E10` and inside evidence that
    was filled in before. The fixed grammar replaces all in one pass.

    Raises:
        TooLong: the result would have more than `FILLED` characters, or more than `MET` variables: evidence
            that names its own variable grows with each replacement.
    """
    wanted = [name for name in VARIABLE.findall(text) if name in evidence]
    if grammar == "fixed":
        if len(text) + sum(len(evidence[name]) for name in wanted) > FILLED:
            raise TooLong(f"with its variables filled, an input has more than {FILLED} characters")
        return VARIABLE.sub(
            lambda match: f"[{evidence[match[0]]}]" if match[0] in evidence else match[0], text
        )
    return _fill_in_turn(text, evidence, wanted) if wanted else text


def _fill_in_turn(text: str, evidence: Mapping[str, str], wanted: Sequence[str]) -> str:
    """The result of replacing the wanted variables one after the other, computed in one pass.

    Each replacement is in brackets, so no variable arises from two texts. A variable is therefore filled by
    the first turn whose name it begins with, and the variables in its evidence by later turns.
    """
    turns: dict[str, list[int]] = defaultdict(list)
    for turn, name in enumerate(wanted):
        turns[name].append(turn)
    lengths = sorted({len(name) for name in turns})
    within = {name: tuple(VARIABLE.finditer(evidence[name])) for name in turns}
    pieces: list[str] = []
    size = met = 0
    # Texts being read, the innermost last: (text, its further variables, end of the part written, first
    # turn).
    reading = [(text, VARIABLE.finditer(text), 0, 0)]
    while reading:
        source, variables, at, first = reading.pop()
        match = next(variables, None)
        if match is None:
            piece = source[at:] + ("]" if reading else "")
        elif found := _turn(match[0], first, turns, lengths):
            turn, name = found
            piece, inner = f"{source[at : match.start()]}[", evidence[name]
            reading.append((source, variables, match.start() + len(name), first))
            if within[name]:
                reading.append((inner, iter(within[name]), 0, turn + 1))
            else:
                piece += f"{inner}]"
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
    earliest: tuple[int, str] | None = None
    for length in lengths:
        if length > len(variable):
            break
        name = variable[:length]
        if mine := turns.get(name):
            n = bisect_left(mine, first)
            if n < len(mine) and (earliest is None or mine[n] < earliest[0]):
                earliest = mine[n], name
    return earliest
