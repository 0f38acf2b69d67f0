"""Solves one equation in one unknown, or reduces an expression to a number; runs in a worker process.

The text comes from a model. It is never evaluated: a small grammar turns it into polynomials with rational
coefficients, and only those reach sympy.
"""

from __future__ import annotations

import math
import re
import resource
import time
from collections.abc import Iterator

from sympy import Expr, Poly, Rational, Symbol, real_roots

from tasks.rewoo.tools.algebra import LONGEST

DEPTH = 40
DEGREE = 8
BITS = 2048
"""Size of the largest numerator or denominator; beyond it the input is not answered."""

CPU_S = 2
MEMORY_MB = 256

_UNKNOWN = Symbol("x")
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?|\.\d+)|([A-Za-z])|(\*\*|[-+*/^()]))")
_PREFIX = re.compile(r"^\s*(solve|simplify|calculate|compute|evaluate)\b:?", re.IGNORECASE)
_SUFFIX = re.compile(r"\s+for\s+[A-Za-z]\s*$", re.IGNORECASE)


class CannotSolve(Exception):
    """The input is neither an expression with a value nor an equation that this module solves."""


class EquationSolver:
    """The worker's handler: each call has its own allowance of CPU time."""

    def solve(self, text: str) -> str | None:
        """The solution as text; None when there is none."""
        spent = math.ceil(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (spent + CPU_S, resource.RLIM_INFINITY))
        try:
            return solve(text)
        except CannotSolve:
            return None


def handler() -> EquationSolver:
    """Build the worker's handler, and bound what the process may use."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MB << 20, MEMORY_MB << 20))
    return EquationSolver()


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
        return _number(_constant(polynomials[0]))
    if not names:
        raise CannotSolve
    unknown = names.pop()
    roots = _roots(_bounded(polynomials[0] - polynomials[1]))
    return " or ".join(f"{unknown} = {_number(root)}" for root in roots)


class _Reader:
    """Recursive descent over sums, products (also implied ones), powers and parentheses."""

    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        self._tokens = [*_tokens(text), ""]
        self._at = self._depth = 0

    def whole(self) -> Poly:
        value = self._sum()
        if self._peek():
            raise CannotSolve
        return value

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _sum(self) -> Poly:
        value = self._product()
        while self._peek() in ("+", "-"):
            sign = 1 if self._next() == "+" else -1
            value = _bounded(value + self._product() * sign)
        return value

    def _product(self) -> Poly:
        value = self._signed()
        while (token := self._peek()) and token not in ("+", "-", ")"):
            if token == "/":
                self._next()
                divisor = _constant(self._signed())
                if divisor.is_zero:
                    raise CannotSolve
                value = _bounded(value * _poly(1 / divisor))
            else:
                if token == "*":
                    self._next()
                value = _bounded(value * self._signed())
        return value

    def _signed(self) -> Poly:
        sign = 1
        while self._peek() in ("+", "-"):
            sign = -sign if self._next() == "-" else sign
        return self._power() * sign

    def _power(self) -> Poly:
        base = self._atom()
        if self._peek() not in ("^", "**"):
            return base
        self._next()
        exponent = _constant(self._power())  # 2^3^2 is 2^(3^2)
        if not exponent.is_integer or exponent < 0:
            raise CannotSolve
        if not base.is_ground and exponent > DEGREE:
            raise CannotSolve
        # Bounded before it is computed: 9**9**9 has hundreds of millions of digits.
        if exponent * (_bits(base) - 1) > BITS:
            raise CannotSolve
        return _bounded(base ** int(exponent))

    def _atom(self) -> Poly:
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
            return _poly(_UNKNOWN)
        if not token or token in "+-*/^)**":
            raise CannotSolve
        return _poly(Rational(token))


def _tokens(text: str) -> Iterator[str]:
    at, text = 0, text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise CannotSolve
        yield match[1] or match[2] or match[3]
        at = match.end()


def _poly(value: Expr) -> Poly:
    return Poly(value, _UNKNOWN, domain="QQ")


def _constant(value: Poly) -> Expr:
    if not value.is_ground:
        raise CannotSolve
    return value.nth(0)


def _bits(value: Poly) -> int:
    """Bits of the largest coefficient, numerator and denominator together."""
    return max(sum(int(part).bit_length() for part in n.as_numer_denom()) for n in value.coeffs())


def _bounded(value: Poly) -> Poly:
    """Refuse a polynomial whose degree or coefficients grow."""
    if value.degree() > DEGREE or _bits(value) > BITS:
        raise CannotSolve
    return value


def _roots(equation: Poly) -> list[Expr]:
    """The real roots in rising order."""
    if not 1 <= equation.degree() <= 2:
        raise CannotSolve
    roots = [root for root, _ in real_roots(equation, multiple=False)]
    if not roots:
        raise CannotSolve
    return roots


def _number(value: Expr) -> str:
    if value.is_Integer:
        return str(value)
    try:
        number = float(value.evalf(20))
    except OverflowError as error:
        raise CannotSolve from error
    if not math.isfinite(number):
        raise CannotSolve
    return f"{number:.10g}"
