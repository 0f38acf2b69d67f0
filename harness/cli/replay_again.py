"""The command that plays an exported run again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from harness.catalog import registry
from harness.running import selection
from harness.types import Profile

if TYPE_CHECKING:
    from harness.export.episodes import Run

FEW = 50
"""Samples that a command names one by one."""

_USUAL = {"profile": "paper", "seed": 0, "repeats": 1, "split": None, "reasoning": "strip", "template": ""}


def command(run: Run, path: str) -> list[str]:
    """The command that plays a run's recorded replies again under the run's own settings.

    Args:
        run: opened.
        path: of the replay file.
    """
    config = run.config
    words = ["harness", "run", "--model", f"replay:{path}", *_what(run)]
    sources = {facts["source"] for facts in config["tasks"].values()}
    words += ["--mirror", "fixture"] if sources == {"fixture"} else []
    for name, value in _USUAL.items():
        if config.get(name, value) != value:
            words += [f"--{name}", str(config[name])]
    for task, facts in config["tasks"].items():
        unset = _unset(task, facts["options"], config.get("profile", "paper"))
        for key, value in facts["options"].items():
            if value != unset.get(key, value):
                words += ["--set", f"{task}.{key}={selection.shown(value)}"]
    for role in config.get("roles") or ():
        words += ["--role", f"{role.partition('=')[0]}=replay:{path}"]
    if any(run.store.meta(f"judge/{task}") for task in run.tasks):
        words += ["--judge", f"replay:{path}"]
    return words


def _what(run: Run) -> Iterator[str]:
    """Suites, tasks and samples, as they are named on a command line."""
    suites: Mapping[str, list[str]] = run.config.get("suites") or {}
    for suite in suites:
        yield from ("--suite", suite)
    if not suites or {*run.tasks} != {task for members in suites.values() for task in members}:
        yield from (
            "--task",
            ",".join(str(run.specs.get(task, {}).get("file") or task) for task in run.tasks),
        )
    limits = [one.get("limit") for one in run.chosen.values()]
    limit = limits[0] if limits and all(one == limits[0] for one in limits) else None
    if limit:  # a suite has its own for each task
        yield from ("--limit", f"{'first:' if limit.get('rule') == 'first' else ''}{limit['count']}")
    elif not suites and any(one.get("named") for one in run.chosen.values()):
        ids = sorted({item.sample for item in run.store.planned()})
        if len(ids) <= FEW:
            yield from ("--samples", ",".join(ids))


def _unset(task: str, options: Mapping[str, Any], profile: Profile) -> Mapping[str, Any]:
    """A task's options as they are unless a command sets them; of one that is not installed, as given."""
    if task not in registry.names():
        return options
    return selection.plain(selection.options(task, registry.load(task).Options, profile))
