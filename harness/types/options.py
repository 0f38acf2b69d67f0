"""A task's options: fields of one frozen dataclass that carry both profiles' values, help and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Profile = Literal["paper", "fixed"]
Value = int | float | str | bool | None

_SAME: Any = object()


def option(
    paper: Value,
    fixed: Any = _SAME,
    *,
    help: str,
    choices: Sequence[Value] = (),
    ge: float | None = None,
    le: float | None = None,
) -> Any:
    """Declare a field of a task's `Options`.

    Args:
        paper: value under `--profile paper`; also the dataclass's default.
        fixed: value under `--profile fixed`; the same unless given.
        help: what it decides, in one line of `harness list tasks NAME`.
        choices: the only values allowed; empty for any of the field's type.
        ge: smallest number allowed.
        le: largest number allowed.
    """
    both = {"paper": paper, "fixed": paper if fixed is _SAME else fixed}
    return field(
        default=paper, metadata={**both, "help": help, "choices": tuple(choices), "ge": ge, "le": le}
    )


@dataclass(frozen=True, slots=True)
class NoOptions:
    """The options of a task that has none."""


NO_OPTIONS = NoOptions()


@dataclass(frozen=True, slots=True)
class Option:
    """One declared option.

    Attributes:
        kind: int, float, str or bool.
        optional: whether `none` is a value.
    """

    name: str
    kind: type[int] | type[float] | type[str] | type[bool]
    optional: bool
    paper: Value
    fixed: Value
    help: str
    choices: tuple[Value, ...]
    ge: float | None
    le: float | None

    @property
    def bounds(self) -> str:
        """The allowed range as text; empty when every number is allowed."""
        if self.ge is not None and self.le is not None:
            return f"from {self.ge:g} to {self.le:g}"
        if self.ge is not None:
            return f"at least {self.ge:g}"
        return "" if self.le is None else f"at most {self.le:g}"


@cache
def declared(options: type[Any]) -> tuple[Option, ...]:
    """The options that a task's `Options` class declares, in order.

    Raises:
        TypeError: a field is not made with `option`, or is of another type than int, float, str, bool, or
            one of them or None.
    """
    hints = get_type_hints(options)
    found: list[Option] = []
    for one in fields(options):
        if "paper" not in one.metadata:
            raise TypeError(f"{options.__qualname__}.{one.name} is not declared with option(...)")
        kind, optional = _kind(hints[one.name], f"{options.__qualname__}.{one.name}")
        found.append(Option(one.name, kind, optional, **one.metadata))
    return tuple(found)


def _kind(hint: Any, where: str) -> tuple[Any, bool]:
    optional = False
    if get_origin(hint) in (Union, UnionType):
        rest = [part for part in get_args(hint) if part is not NoneType]
        optional = len(rest) < len(get_args(hint))
        hint = rest[0] if len(rest) == 1 else hint
    if hint not in (int, float, str, bool):
        raise TypeError(f"{where} must be an int, float, str or bool, or one of them or None")
    return hint, optional
