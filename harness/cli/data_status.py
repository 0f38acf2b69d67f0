"""What `harness data status` and `harness data list` show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from harness import data
from harness.catalog import registry
from harness.data import Pin
from harness.errors import HarnessError
from harness.storage.words import counted


def screen(mirror: str | None) -> Iterator[str]:
    """One line for each task, then each command that brings something that is missing."""
    lacking: dict[str, list[Pin]] = {}
    yield _row("task", "split", "data")
    for task in (data.CORE, *registry.names()):
        for splits, found in _by_split(task, mirror).items():
            yield _row(task, splits, state(task, found))
        whole = data.resolve(task, mirror)
        lacking[task] = _missing(task, whole) if whole.findings else []
    lines = list(_commands({task: pins for task, pins in lacking.items() if pins}))
    if lines:
        yield ""
        yield "What brings the rest (harness doctor TASK says what else a task needs):"
        yield from (f"  {line}" for line in lines)


def _by_split(task: str, mirror: str | None) -> Mapping[str, data.Resolved]:
    """The state of each split; those with the same state share a line."""
    pinned = data.pins(task)
    try:
        splits = [] if task == data.CORE else list(registry.load(task).spec.splits)
    except HarnessError:  # an environment's package is missing; the data can be there all the same
        splits = []
    if not splits or not any(pin.splits for pin in pinned.files):
        return {"" if not splits else ", ".join(splits): data.resolve(task, mirror)}
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    found = {split: data.resolve(task, mirror, split) for split in splits}
    for split, state in found.items():
        groups[state.problems].append(split)
    return {", ".join(names): found[names[0]] for names in groups.values()}


def _row(task: str, split: str, state: str) -> str:
    return f"{task:<15} {split:<22} {state}"


def state(task: str, found: data.Resolved) -> str:
    """Whether data is there, and from where, else the one thing that is missing."""
    if not found.findings:
        return f"ready ({found.source})"
    if any(problem.corrupt for problem in found.findings):
        return next(problem.what for problem in found.findings if problem.corrupt)
    lacking, wanted = _missing(task, found), data.pins(task).required
    if not lacking:
        return found.findings[0].what
    first = lacking[0].path.rpartition("/")[2]
    return f"lacks {len(lacking)} of {counted(len(wanted), 'file')}: {first}" + (
        ", ..." if len(lacking) > 1 else ""
    )


def _missing(task: str, found: data.Resolved) -> list[Pin]:
    wanted = data.pins(task)
    return [pin for pin in wanted.required if not wanted.place(found.path, pin).is_file()]


def _commands(lacking: Mapping[str, Sequence[Pin]]) -> Iterator[str]:
    """Commands that can be pasted, the one for several tasks first, each with what it is for."""
    fetched = {task: [p for p in pins if p.kind == "url"] for task, pins in lacking.items()}
    tasks = [task for task, pins in fetched.items() if pins]
    if tasks:
        size = sum(pin.size for pins in fetched.values() for pin in pins) / 1e6
        yield f"harness data pull --all  # {counted(len(tasks), 'task')}, {size:.1f} MB"
    clones: dict[str, set[str]] = defaultdict(set)
    others: dict[str, set[str]] = defaultdict(set)
    for task, pins in lacking.items():
        for pin in pins:
            if pin.kind == "url":
                continue
            if pin.origins and all(entry.repository for entry in pin.origins):
                for entry in pin.origins:
                    clones[entry.clone].add(task)
            else:
                others[pin.fix(task)].add(task)
    for line, names in sorted(clones.items(), key=lambda item: -len(item[1])):
        yield f"{line}  # {next(iter(names)) if len(names) == 1 else counted(len(names), 'task')}"
    if clones:
        yield "harness data prepare --all --from ."
    yield from others


def files(task: str, mirror: str | None, split: str | None, *, verbose: bool) -> Iterator[str]:
    """A task's files; without `verbose` those of the same state, kind and licence share a line."""
    found = data.resolve(task, mirror, split)
    yield f"{task}: {found.path}"
    wanted = data.pins(task).of(split)
    groups: dict[tuple[str, ...], list[Pin]] = defaultdict(list)
    for pin in wanted.files:
        there = wanted.place(found.path, pin).is_file()
        state = "ok" if there else "optional" if pin.optional else "MISSING"
        only = f"  ({', '.join(pin.splits)} only)" if pin.splits else ""
        fix = f"  -> {pin.fix(task)}" if state == "MISSING" else ""
        groups[(state, pin.kind, pin.licence, only, fix, pin.path if verbose else "")].append(pin)
    for (state, kind, licence, only, fix, _), pins in groups.items():
        name = pins[0].name if len(pins) == 1 else f"{len(pins)} files ({pins[0].name}, ...)"
        yield f"  {state:<9}{kind:<8}{sum(p.size for p in pins):>10}  {name}  [{licence}]{only}{fix}"
