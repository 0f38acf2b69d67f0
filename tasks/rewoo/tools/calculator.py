"""The calculator: a model writes one numexpr expression, which is checked before it is computed.

numexpr's own check is no sandbox, and it computes constants in Python, where `9**9**9` takes hours. So an
expression is parsed here first: only arithmetic on numbers of bounded size is given to numexpr.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable

from harness.errors import MissingRecord
from harness.types import Ask, Chat
from tasks.rewoo.action import NOTHING
from tasks.rewoo.tools.base import Evidence, ToolError
from tasks.rewoo.tools.model import Model

LONGEST = 200
NODES = 100
LARGEST = 1e300
"""Bound of every intermediate result, near the largest float."""

STOP = "```output"
_BLOCK = re.compile(r"^```text(.*?)```", re.DOTALL)
_EVIDENCE = re.compile(r"\[ {0,9}([-+]?[0-9][0-9,]{0,40}(?:\.[0-9]{1,40})?(?:e[-+]?[0-9]{1,3})?) {0,9}\]")
_CONSTANTS = {"pi": math.pi, "e": math.e}
_FUNCTIONS = frozenset(
    """abs sqrt sin cos tan arcsin arccos arctan arctan2 sinh cosh tanh arcsinh arccosh arctanh
    log log10 log1p exp expm1 floor ceil where""".split()  # noqa: SIM905  (a word list reads better)
)
_GROWS = frozenset({"exp", "expm1", "sinh", "cosh"})


class Calculator:
    """From a word problem or an expression to a number; a model translates, as upstream."""

    fallback = ""

    def __init__(self, model: Model, template: str) -> None:
        self._model, self._template = model, template

    async def use(self, key: str, text: str, chat: Chat | None) -> Evidence:
        prompt = self._template.replace("{question}", text)
        try:
            written, source = await self._model.ask(
                chat, key, prompt, Ask(max_new_tokens=256, stop=(STOP,)), raw=True
            )
        except MissingRecord:
            return Evidence(NOTHING, "replay", missed=True)
        return Evidence(answer(written), source)


class DirectCalculator:
    """The stand-in without a model: the input itself is the expression, evidence in brackets and all."""

    fallback = "direct calculator"

    async def use(self, key: str, text: str, chat: Chat | None) -> Evidence:
        del key, chat
        return Evidence(evaluate(unbracketed(text)), self.fallback)


def unbracketed(text: str) -> str:
    """An expression whose numbers stand in brackets, as evidence does, with parentheses in their place."""
    return _EVIDENCE.sub(lambda found: f"({found[1].replace(',', '')})", text)


def answer(written: str) -> str:
    """Take the number out of a translator's completion, as upstream's chain and its tool after it do.

    Upstream takes a completion that starts with `Answer:` as it stands and deletes every such word in it;
    of any other it takes what follows the last one.

    Raises:
        ToolError: no expression and no answer in it, or an expression that is refused.
    """
    text = written.strip()
    if block := _BLOCK.match(text):
        return evaluate(block[1])
    if text.startswith("Answer:"):
        return text.replace("Answer:", "").strip()
    if "Answer:" in text:
        return text.split("Answer:")[-1].strip()
    raise ToolError("the translator gave neither an expression nor an answer")


def evaluate(expression: str) -> str:
    """Compute an expression with numexpr's rules: `^` is XOR, integers divide to floats.

    Raises:
        ToolError: anything but bounded arithmetic.
    """
    text = expression.strip()
    if len(text) > LONGEST:
        raise ToolError(f"an expression of {len(text)} characters, {LONGEST} are allowed")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ToolError("not an arithmetic expression") from error
    if sum(1 for _ in ast.walk(tree)) > NODES:
        raise ToolError("the expression is too complex")
    _value(tree)
    return re.sub(r"^\[|\]$", "", str(_compute(text)))


def _compute(text: str) -> object:
    import numexpr

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return numexpr.evaluate(text, local_dict=dict(_CONSTANTS), global_dict={}, sanitize=True)
    except Exception as error:
        # numexpr's compiler raises many kinds: TypeError, KeyError, OverflowError, ...
        raise ToolError(f"numexpr refuses the expression: {type(error).__name__}") from error


def _value(node: ast.expr) -> float:
    """Estimate a node's value in floats, where every operation takes constant time.

    Raises:
        ToolError: a node that is no arithmetic, or a value beyond `LARGEST`.
    """
    try:
        value = _estimate(node)
    except (OverflowError, RecursionError) as error:
        raise ToolError("the expression grows too large") from error
    except (ValueError, ZeroDivisionError):
        return math.nan  # a complex root or a division by zero; numexpr decides
    if abs(value) > LARGEST:
        raise ToolError("the expression grows too large")
    return value


def _estimate(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() | ast.Invert() as sign, operand=operand):
            value = _value(operand)
            return value if isinstance(sign, ast.UAdd) else -value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return float(_BINARY[type(op)](_value(left), _value(right)))
        case ast.Compare(left=left, comparators=[right]):
            return max(abs(_value(left)), abs(_value(right)), 1.0)
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as args, keywords=[]) if name in _FUNCTIONS:
            sizes = [abs(_value(arg)) for arg in args]
            return math.exp(max(sizes)) if name in _GROWS else max(sizes)
        case _:
            raise ToolError(f"{type(node).__name__} is not arithmetic")


def _bits(left: float, right: float) -> float:
    """A bound for XOR, AND and OR, which no value of theirs exceeds."""
    return 2 * max(abs(left), abs(right), 1.0)


_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,
    ast.BitXor: _bits,
    ast.BitAnd: _bits,
    ast.BitOr: _bits,
    ast.LShift: lambda left, right: left * math.pow(2.0, right),
    ast.RShift: lambda left, right: left,
}
