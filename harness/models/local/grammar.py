"""Regular expressions over a vocabulary: which tokens can come next in a text that has to match.

A state is what is left of the pattern; reading a character takes its derivative (Brzozowski, 1964).
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from harness.models.local.invalid import Invalid

Term = tuple[Any, ...]
_PARSER: Any = importlib.import_module("re._parser")
MOST_STATES = 2000
"""States that one pattern may have; a request whose pattern has more fails."""

_LONGEST = 20_000
_NEVER: Term = ("or", frozenset[Term]())
_DONE: Term = ("cat", ())
_CATEGORIES: Mapping[str, Callable[[str], bool]] = {
    "DIGIT": str.isdecimal,
    "SPACE": str.isspace,
    "WORD": lambda character: character.isalnum() or character == "_",
}


class Grammar:
    """One pattern over one vocabulary.

    Args:
        pattern: Python's syntax without look-around, back references and flags.
        pieces: the text of each token; one with U+FFFD is part of a character and never allowed.

    Raises:
        Invalid: it cannot be compiled.
    """

    def __init__(self, pattern: str, pieces: Sequence[str]) -> None:
        if len(pattern) > _LONGEST:
            raise Invalid(f"grammar is not valid: it has {len(pattern)} characters, at most {_LONGEST}")
        try:
            self.start = _read(_PARSER.parse(pattern))
        except (ValueError, RecursionError, OverflowError, _PARSER.error) as error:
            raise Invalid(f"grammar is not valid: {error}") from error
        self._by_first: Mapping[str, Sequence[tuple[int, str]]] = _by_first(pieces)
        self._pieces = pieces
        self._allowed: dict[Term, dict[int, Term]] = {}

    def allowed(self, state: Term) -> Mapping[int, Term]:
        """The tokens that can come next, each with the state after it.

        Raises:
            Invalid: the pattern has too many states.
        """
        if state not in self._allowed:
            if len(self._allowed) >= MOST_STATES:
                raise Invalid(f"grammar is not valid: it has more than {MOST_STATES} states")
            self._allowed[state] = dict(self._next(state))
        return self._allowed[state]

    def _next(self, state: Term) -> Iterator[tuple[int, Term]]:
        for first, tokens in self._by_first.items():
            after = _derived(state, first)
            if after == _NEVER:
                continue
            for token, rest in tokens:
                end = after
                for character in rest:
                    end = _derived(end, character)
                if end != _NEVER:
                    yield token, end


def complete(state: Term) -> bool:
    """Whether the text so far matches the whole pattern."""
    kind, *parts = state
    if kind == "cat":
        return all(map(complete, parts[0]))
    if kind == "or":
        return any(map(complete, parts[0]))
    return kind == "rep" and (parts[1] == 0 or complete(parts[0]))


def _by_first(pieces: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for token, text in enumerate(pieces):
        if text and "\ufffd" not in text:
            found[text[0]].append((token, text[1:]))
    return found


@lru_cache(maxsize=1 << 16)
def _derived(state: Term, character: str) -> Term:
    kind, *parts = state
    if kind == "set":
        return _DONE if any(_holds(item, character) for item in parts[0]) != parts[1] else _NEVER
    if kind == "or":
        return _either(_derived(one, character) for one in parts[0])
    if kind == "rep":
        one, least, most = parts
        again = ("rep", one, max(0, least - 1), most - 1) if most > 1 else _DONE
        return _joined(_derived(one, character), again)
    ways: list[Term] = []
    for index, one in enumerate(parts[0]):
        ways.append(_joined(_derived(one, character), ("cat", parts[0][index + 1 :])))
        if not complete(one):
            break
    return _either(ways)


def _joined(first: Term, then: Term) -> Term:
    if _NEVER in (first, then):
        return _NEVER
    parts = [one[1] if one[0] == "cat" else (one,) for one in (first, then)]
    whole = (*parts[0], *parts[1])
    return whole[0] if len(whole) == 1 else ("cat", whole)


def _either(ways: Any) -> Term:
    flat: set[Term] = set()
    for way in ways:
        flat |= way[1] if way[0] == "or" else {way}
    return next(iter(flat)) if len(flat) == 1 else ("or", frozenset(flat))


def _holds(item: tuple[str, Any], character: str) -> bool:
    kind, value = item
    if kind == "LITERAL":
        return ord(character) == value
    if kind == "RANGE":
        return value[0] <= ord(character) <= value[1]
    name = str(value).removeprefix("CATEGORY_")
    return _CATEGORIES[name.removeprefix("NOT_")](character) != name.startswith("NOT_")


def _read(parsed: Any) -> Term:
    """A pattern as Python's own parser reads it, as a term."""
    whole: Term = _DONE
    for operator, value in reversed(list(parsed)):
        whole = _joined(_term(str(operator), value), whole)
    return whole


def _term(kind: str, value: Any) -> Term:
    if kind in ("LITERAL", "NOT_LITERAL"):
        return ("set", (("LITERAL", value),), kind != "LITERAL")
    if kind == "ANY":
        return ("set", (("LITERAL", 10),), True)
    if kind == "IN":
        negated = str(value[0][0]) == "NEGATE"
        return ("set", tuple((str(op), v) for op, v in value[negated:]), negated)
    if kind == "BRANCH":
        return _either([_read(one) for one in value[1]])
    if kind == "SUBPATTERN" and not value[1] and not value[2]:
        return _read(value[3])
    if kind in ("MAX_REPEAT", "MIN_REPEAT"):
        most = float("inf") if value[1] == _PARSER.MAXREPEAT else value[1]
        return ("rep", _read(value[2]), value[0], most) if most else _DONE
    if kind == "AT" and str(value) in ("AT_BEGINNING", "AT_END"):
        return _DONE
    raise ValueError(f"{kind.lower()} is not supported here")
