"""Bounds what the expressions of a template make, so that none doubles a text until memory is full.

Operators, blocks, macros, `replace` and `join` are counted before they make a text. It is a guard against
templates that go wrong, not against every one that means harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from typing import Any, cast

from harness.templates.roles import ConversationError

VALUE_LENGTH = 1 << 26
"""Characters of the longest text, and items of the longest list, that an expression may make."""

MADE_LENGTH = 1 << 30
"""What all expressions of one rendering may make; a text that grows piece by piece counts each time."""

OPERATORS = frozenset({"+", "*", "**"})
"""Operators that are counted."""

_SMALL = 1 << 10
"""Length up to which a sum is not counted, as most are: loops make a million of them at most."""

_made: ContextVar[list[int]] = ContextVar("made")


def begin() -> Token[list[int]]:
    """Count what is made from here to `end`."""
    return _made.set([0])


def end(begun: Token[list[int]]) -> None:
    """Stop counting what was begun."""
    _made.reset(begun)


def count(length: int) -> None:
    """Count a text or list of this length, which is about to be made.

    Raises:
        ConversationError: it is too long, or all were together.
    """
    made = _made.get()
    made[0] += length
    if length > VALUE_LENGTH or made[0] > MADE_LENGTH:
        raise ConversationError(f"the template makes texts of over {VALUE_LENGTH:,} characters, or too many")


def operate(operator: str, left: Any, right: Any) -> None:
    """Count the result of an operator."""
    if operator == "+" and isinstance(left, _LONG) and isinstance(right, _LONG):
        if (length := _length(left) + _length(right)) > _SMALL:
            count(length)
    elif operator == "*" and isinstance(left, _LONG) and isinstance(right, int):
        count(_length(left) * max(0, right))
    elif operator == "*" and isinstance(right, _LONG) and isinstance(left, int):
        count(_length(right) * max(0, left))
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        count(left.bit_length() * max(0, right))


_LONG = (str, list, tuple)


def _length(value: Any) -> int:
    return len(value)


def join(parts: Iterable[Any], between: str = "") -> str:
    """Join texts, as blocks, macros and `join` do."""
    texts = [part if isinstance(part, str) else str(part) for part in parts]
    count(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def concatenate(values: list[Any]) -> str:
    """What `~` makes; templates have many of them."""
    length = 0
    for value in values:
        if type(value) is not str:
            return join(values)
        length += len(value)
    if length > _SMALL:
        count(length)
    return "".join(values)


def call(function: Any, args: tuple[Any, ...]) -> None:
    """Count the result of a text's own `replace` or `join`."""
    owner = getattr(function, "__self__", None)
    if not isinstance(owner, str) or not args:
        return
    if function.__name__ == "replace":
        replace(owner, *args)
    elif function.__name__ == "join" and isinstance(args[0], list | tuple):
        listed = cast("list[Any] | tuple[Any, ...]", args[0])
        count(len(owner) * len(listed) + sum(len(part) for part in listed if isinstance(part, str)))


def replace(text: str, old: Any = "", new: Any = "", *_: Any) -> None:
    """Count the result of `replace`."""
    times = text.count(str(old)) if old else len(text) + 1
    count(len(text) + times * len(str(new)))


def counting_replace(used: Callable[..., str]) -> Callable[..., str]:
    """Jinja's filter `replace`, counted."""
    from jinja2 import pass_eval_context

    @pass_eval_context
    def replaced(context: Any, text: Any, *args: Any, **options: Any) -> str:
        replace(str(text), *args)
        return used(context, text, *args, **options)

    return replaced


def counting_join(used: Callable[..., str]) -> Callable[..., str]:
    """Jinja's filter `join`, counted where it joins what it is given as it is."""
    from jinja2 import pass_eval_context

    @pass_eval_context
    def joined(context: Any, values: Iterable[Any], d: str = "", attribute: Any = None) -> str:
        listed = list(values)
        if attribute is None:
            return join(listed, str(d))
        return used(context, listed, d, attribute)

    return joined
