"""Fills the variables of a tool's input with the evidence they name; pure functions."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tasks.rewoo.action import VARIABLE, Grammar

FILLED = 1_000_000
"""Most characters of an input with its variables filled; no tool takes more than some thousands."""

MET = 1 << 15
"""Most variables looked at while filling one input; only evidences that name others bring more."""


class TooLong(Exception):
    """An input grows beyond all bounds when its variables are filled: the plan's own failure."""


def fill(text: str, evidence: Mapping[str, str], grammar: Grammar) -> str:
    """Put evidences, in brackets, in the place of their variables.

    Upstream replaces variable by variable, so that `#E1` also hits inside `#E10` and inside evidence
    filled in before; mended, all are replaced in one pass.

    Raises:
        TooLong: the result would have more than `FILLED` characters, or over `MET` variables; an evidence
            that names itself doubles at every variable.
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
    """What replacing the wanted variables everywhere, one after the other, comes to; in one pass.

    No replacement makes a variable out of two texts, for each is in brackets. So a variable is filled by the
    first turn whose name it begins with, and those in its evidence by later turns.
    """
    turns: dict[str, list[int]] = defaultdict(list)
    for turn, name in enumerate(wanted):
        turns[name].append(turn)
    lengths = sorted({len(name) for name in turns})
    plain = {name for name in turns if not VARIABLE.search(evidence[name])}
    pieces: list[str] = []
    size = met = 0
    # Texts being read, the innermost last: their variables to come, what is written, the first turn they see.
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
            if name in plain:
                piece += f"{inner}]"
            else:
                reading.append((inner, VARIABLE.finditer(inner), 0, turn + 1))
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
