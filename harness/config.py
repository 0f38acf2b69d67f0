"""Turns what the user typed into typed choices: options by task, sample selections, suites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.errors import UsageError
from harness.registry import nearest
from harness.types import Option, Profile, Sample, TaskSpec, Value

TRUE, FALSE = ("true", "on", "yes", "1"), ("false", "off", "no", "0")


def options(spec: TaskSpec, profile: Profile, settings: Mapping[str, str]) -> dict[str, Value]:
    """Every option of a task: the profile's value unless the user set another.

    `settings` is what the user set for this task, by option name, as typed.

    Raises:
        UsageError: unknown option (with the nearest names) or a value of the wrong type.
    """
    known = {option.name: option for option in spec.options}
    for name in settings:
        if name not in known:
            raise (
                nearest(name, known, f"option of {spec.name}")
                if known
                else UsageError(f"{spec.name} has no options, so --set {spec.name}.{name} means nothing")
            )
    return {
        name: _typed(spec.name, option, settings[name]) if name in settings else _default(option, profile)
        for name, option in known.items()
    }


def settings(pairs: Iterable[str], tasks: Iterable[str]) -> dict[str, dict[str, str]]:
    """Split `TASK.KEY=VALUE` arguments by task.

    Raises:
        UsageError: not of that form, or a task that this run does not contain.
    """
    chosen: dict[str, dict[str, str]] = {task: {} for task in tasks}
    for pair in pairs:
        left, equals, value = pair.partition("=")
        task, dot, key = left.partition(".")
        if not (equals and dot and task and key):
            raise UsageError(f"--set {pair}: write it as TASK.KEY=VALUE, e.g. sciworld.step_limit=none")
        if task not in chosen:
            raise nearest(task, chosen, "task in --set (this run has others)")
        chosen[task][key] = value
    return chosen


def _default(option: Option, profile: Profile) -> Value:
    return option.paper if profile == "paper" else option.fixed


def _typed(task: str, option: Option, text: str) -> Value:
    value = _parsed(task, option, text)
    if option.choices and value not in option.choices:
        allowed = ", ".join(_shown(choice) for choice in option.choices)
        raise UsageError(f"--set {task}.{option.name}={text}: choose one of {allowed}")
    return value


def _parsed(task: str, option: Option, text: str) -> Value:
    if option.optional and text.lower() == "none":
        return None
    if option.kind is bool:
        if text.lower() in TRUE:
            return True
        if text.lower() in FALSE:
            return False
        raise UsageError(f"--set {task}.{option.name}={text}: write true or false")
    try:
        return option.kind(text)
    except ValueError:
        wanted = f"{option.kind.__name__}{' or none' if option.optional else ''}"
        raise UsageError(f"--set {task}.{option.name}={text}: a value of type {wanted} is needed") from None


def _shown(value: Value) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def select(
    samples: Sequence[Sample], ids: Sequence[str] | None, limit: int | None, task: str
) -> list[Sample]:
    """Choose samples by id, else the first `limit`, in canonical order.

    Raises:
        UsageError: an id that the task does not have.
    """
    if ids is None:
        return list(samples[:limit] if limit is not None else samples)
    known = {sample.id: sample for sample in samples}
    for wanted in ids:
        if wanted not in known:
            raise (
                nearest(wanted, known, f"sample of {task}")
                if len(known) < 400
                else UsageError(f"unknown sample {wanted!r} of {task}: its ids look like {samples[0].id!r}")
            )
    wanted_ids = set(ids)
    chosen = [sample for sample in samples if sample.id in wanted_ids]
    return chosen[:limit] if limit is not None else chosen
