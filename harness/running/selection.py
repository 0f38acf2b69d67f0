"""Turns what the user typed into typed options, by task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

from harness.catalog.registry import nearest
from harness.errors import UsageError
from harness.types import Option, Profile, TaskSpec, Value
from harness.types.options import declared

TRUE, FALSE = ("true", "on", "yes", "1"), ("false", "off", "no", "0")


def options(
    task: str, declared_in: type[Any], profile: Profile, settings: Mapping[str, str] | None = None
) -> Any:
    """Build a task's options: the profile's values unless the user set others.

    Args:
        task: its name, for messages.
        declared_in: the task's `Options` class.
        profile: whose values to start from.
        settings: what the user set for this task, by option name, as typed.

    Raises:
        UsageError: unknown option (with the nearest names), a value of the wrong type or out of range.
    """
    known = {option.name: option for option in declared(declared_in)}
    for name in settings or {}:
        if name not in known:
            raise (
                nearest(name, known, f"option of {task}")
                if known
                else UsageError(f"{task} has no options, so --set {task}.{name} means nothing")
            )
    values = {name: option.paper if profile == "paper" else option.fixed for name, option in known.items()}
    values |= {name: _typed(task, known[name], text) for name, text in (settings or {}).items()}
    return declared_in(**values)


def split(spec: TaskSpec, asked: str | None) -> str:
    """The split of a task that is played: the asked one, else the task's first.

    Raises:
        UsageError: it has no such split.
    """
    found = asked or spec.splits[0]
    if found not in spec.splits:
        raise UsageError(f"{spec.name} has no split {found!r}: choose one of {', '.join(spec.splits)}")
    return found


def stored_options(task: str, declared_in: type[Any], values: Mapping[str, Value]) -> Any:
    """Build options from the values a run's store holds; options added since take their paper value.

    Raises:
        UsageError: the store names an option that this version does not have.
    """
    unknown = set(values) - {option.name for option in declared(declared_in)}
    if unknown:
        raise UsageError(
            f"the run was made with options that {task} no longer has: {', '.join(sorted(unknown))}; "
            "use the version of the harness that made it"
        )
    return declared_in(**values)


def plain(options: Any) -> dict[str, Value]:
    """The values of options by name, for the manifest."""
    return {
        option.name: getattr(options, option.name) for option in declared(cast("type[Any]", type(options)))
    }


def settings(pairs: Iterable[str], tasks: Iterable[str]) -> dict[str, dict[str, str]]:
    """Split `TASK.KEY=VALUE` arguments by task.

    Raises:
        UsageError: not of that form, given twice, or a task that this run does not contain.
    """
    chosen: dict[str, dict[str, str]] = {task: {} for task in tasks}
    for pair in pairs:
        left, equals, value = pair.partition("=")
        task, dot, key = left.partition(".")
        if not (equals and dot and task and key):
            raise UsageError(f"--set {pair}: write it as TASK.KEY=VALUE, e.g. sciworld.step_limit=none")
        if task not in chosen:
            raise nearest(task, chosen, "task in --set (this run has others)")
        if chosen[task].setdefault(key, value) != value:
            raise UsageError(f"--set {left} is given as {chosen[task][key]} and as {value}: keep one")
    return chosen


def _typed(task: str, option: Option, text: str) -> Value:
    value = _parsed(task, option, text)
    if option.choices and value not in option.choices:
        allowed = ", ".join(shown(choice) for choice in option.choices)
        raise UsageError(f"--set {task}.{option.name}={text}: choose one of {allowed}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(
            f"--set {task}.{option.name}={text}: a finite number is needed {option.bounds}".strip()
        )
    if isinstance(value, int | float) and not isinstance(value, bool) and not _within(value, option):
        raise UsageError(f"--set {task}.{option.name}={text}: it must be {option.bounds}")
    return value


def _within(value: float, option: Option) -> bool:
    return (option.ge is None or value >= option.ge) and (option.le is None or value <= option.le)


def _parsed(task: str, option: Option, text: str) -> Value:
    import msgspec

    if option.optional and text.lower() == "none":
        return None
    if option.kind is bool:
        if text.lower() in TRUE:
            return True
        if text.lower() in FALSE:
            return False
        raise UsageError(f"--set {task}.{option.name}={text}: write true or false")
    try:
        return msgspec.convert(text, option.kind, strict=False)
    except msgspec.ValidationError:
        wanted = f"{option.kind.__name__}{' or none' if option.optional else ''}"
        raise UsageError(f"--set {task}.{option.name}={text}: a value of type {wanted} is needed") from None


def shown(value: Value) -> str:
    """An option's value as the user writes it."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
