"""The keyless stand-in for WolframAlpha: numbers, and one polynomial equation in one unknown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction

from harness.types import Chat
from tasks.rewoo.tools.base import Evidence
from tasks.rewoo.tools.wolfram import NOT_ABLE

LONGEST = 300
DEPTH = 40
DEGREE = 8
BITS = 2048
"""Size of the largest numerator or denominator; beyond it the input is not answered."""

Polynomial = dict[int, Fraction]

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?|\.\d+)|([A-Za-z])|(\*\*|[-+*/^()]))")
_PREFIX = re.compile(r"^\s*(solve|simplify|calculate|compute|evaluate)\b:?", re.IGNORECASE)
_SUFFIX = re.compile(r"\s+for\s+[A-Za-z]\s*$", re.IGNORECASE)


class CannotSolve(Exception):
    """The input is no number and no equation this reads."""


class Algebra:
    """Answers what needs no knowledge, and says so in WolframAlpha's words when it cannot."""

    fallback = "own algebra"

    async def use(self, key: str, text: str, chat: Chat | None) -> Evidence:
        del key, chat
        try:
            answer = solve(text)
        except CannotSolve:
            answer = NOT_ABLE
        return Evidence(answer, self.fallback)


def solve(text: str) -> str:
    """Solve an equation (`x = 37`) or reduce an expression to a number.

    Raises:
        CannotSolve: several unknowns, a degree above 2, no real solution, or no mathematics at all.
    """
    if len(text) > LONGEST:
        raise CannotSolve
    sides = _SUFFIX.sub("", _PREFIX.sub("", text)).replace("[", "(").replace("]", ")").split("=")
    if len(sides) > 2:
        raise CannotSolve
    readers = [_Reader(side) for side in sides]
    polynomials = [reader.whole() for reader in readers]
    names = {name for reader in readers for name in reader.names}
    if len(names) > 1:
        raise CannotSolve
    if len(sides) == 1:
        if set(polynomials[0]) - {0}:
            raise CannotSolve
        return _number(polynomials[0].get(0, Fraction(0)))
    if not names:
        raise CannotSolve
    unknown = names.pop()
    return " or ".join(f"{unknown} = {_number(root)}" for root in _roots(_add(*polynomials, sign=-1)))


class _Reader:
    """Recursive descent over sums, products (also implied ones), powers and parentheses."""

    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        self._tokens = [*_tokens(text), ""]
        self._at = self._depth = 0

    def whole(self) -> Polynomial:
        value = self._sum()
        if self._peek():
            raise CannotSolve
        return value

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _sum(self) -> Polynomial:
        value = self._product()
        while self._peek() in ("+", "-"):
            sign = 1 if self._next() == "+" else -1
            value = _add(value, self._product(), sign=sign)
        return value

    def _product(self) -> Polynomial:
        value = self._signed()
        while (token := self._peek()) and token not in ("+", "-", ")"):
            if token == "/":
                self._next()
                value = _times(value, _inverse(self._signed()))
            else:
                if token == "*":
                    self._next()
                value = _times(value, self._signed())
        return value

    def _signed(self) -> Polynomial:
        sign = 1
        while self._peek() in ("+", "-"):
            sign = -sign if self._next() == "-" else sign
        return _times({0: Fraction(sign)}, self._power())

    def _power(self) -> Polynomial:
        base = self._atom()
        if self._peek() not in ("^", "**"):
            return base
        self._next()
        exponent = self._atom().get(0, Fraction(0))
        if exponent.denominator != 1 or not 0 <= exponent <= DEGREE:
            raise CannotSolve
        value: Polynomial = {0: Fraction(1)}
        for _ in range(int(exponent)):
            value = _times(value, base)
        return value

    def _atom(self) -> Polynomial:
        token = self._next()
        if token == "(":
            self._depth += 1
            if self._depth > DEPTH:
                raise CannotSolve
            value = self._sum()
            if self._next() != ")":
                raise CannotSolve
            self._depth -= 1
            return value
        if token[:1].isalpha():
            self.names.add(token)
            return {1: Fraction(1)}
        if not token or token in "+-*/^)**":
            raise CannotSolve
        return {0: Fraction(token)}


def _tokens(text: str) -> Iterator[str]:
    at, text = 0, text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise CannotSolve
        yield match[1] or match[2] or match[3]
        at = match.end()


def _add(left: Polynomial, right: Polynomial, *, sign: int) -> Polynomial:
    degrees = sorted({*left, *right})
    return _small({d: left.get(d, Fraction(0)) + sign * right.get(d, Fraction(0)) for d in degrees})


def _times(left: Polynomial, right: Polynomial) -> Polynomial:
    product: Polynomial = {}
    for d, a in left.items():
        for e, b in right.items():
            product[d + e] = product.get(d + e, Fraction(0)) + a * b
    return _small(product)


def _inverse(value: Polynomial) -> Polynomial:
    if set(value) != {0}:
        raise CannotSolve
    return {0: 1 / value[0]}


def _small(value: Polynomial) -> Polynomial:
    """Drop zero terms, and refuse what grows."""
    kept = {degree: number for degree, number in value.items() if number}
    bits = max((n.numerator.bit_length() + n.denominator.bit_length() for n in kept.values()), default=0)
    if bits > BITS or max(kept, default=0) > DEGREE:
        raise CannotSolve
    return kept


def _roots(equation: Polynomial) -> list[Fraction]:
    c, b, a = (equation.get(degree, Fraction(0)) for degree in range(3))
    if max(equation, default=0) > 2 or not (a or b):
        raise CannotSolve
    if not a:
        return [-c / b]
    inside = b * b - 4 * a * c
    if inside < 0:
        raise CannotSolve
    root = _square_root(inside)
    return sorted({(-b - root) / (2 * a), (-b + root) / (2 * a)})


def _square_root(value: Fraction) -> Fraction:
    top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
    if top * top == value.numerator and bottom * bottom == value.denominator:
        return Fraction(top, bottom)
    try:
        return Fraction(math.sqrt(value))
    except OverflowError as error:
        raise CannotSolve from error


def _number(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    try:
        return f"{float(value):.10g}"
    except OverflowError as error:
        raise CannotSolve from error
