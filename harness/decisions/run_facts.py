"""What a run's file says of how it was made, and in what two runs differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from harness.errors import StoreError
from harness.report.load import RESULTS, find_store
from harness.storage.manifest import differing
from harness.storage.reader import Cost, Reader

FORBIDDING = ("profile", "decoding", "sampling", "roles", "judge")
"""Settings of a whole run under which other numbers are measured."""
SOMETIMES = ("reasoning",)
"""The same, recorded only where it is not the default."""
TASK_FORBIDDING = ("version", "options", "source", "data", "samples")
"""The same of one task; `data` covers its prompts, `samples` is a hash of the ids."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """How a run was made.

    Attributes:
        config: the settings that were typed (see `Plan.config`).
        templates: hash of the chat template by suite.
        served: what the endpoints said of themselves.
        environment: harness commit, packages, platform, of the newest command.
        worlds: versions of the real parts by task.
        judges: who judged, by task.
        argv: the newest command that played.
        date: when the first command began, Unix seconds.
    """

    config: Mapping[str, Any]
    templates: Mapping[str, str] = field(default_factory=dict[str, str])
    served: Mapping[str, Any] = field(default_factory=dict[str, Any])
    environment: Mapping[str, Any] = field(default_factory=dict[str, Any])
    worlds: Mapping[str, Any] = field(default_factory=dict[str, Any])
    judges: Mapping[str, str] = field(default_factory=dict[str, str])
    argv: tuple[str, ...] = ()
    date: float = 0.0

    @property
    def model(self) -> str:
        """Name of the model as it was typed."""
        return str(self.config["model"])

    def decisive(self, tasks: Iterable[str]) -> dict[str, Any]:
        """Everything of these tasks that must be equal in runs whose numbers are compared."""
        return {
            **{key: self.config.get(key) for key in FORBIDDING},
            **{key: self.config[key] for key in SOMETIMES if key in self.config},
            "template": dict(self.templates),
            **{task: self.decisive_of(task) for task in tasks},
        }

    def decisive_of(self, task: str) -> dict[str, Any]:
        """The part of `decisive` that concerns one task."""
        chosen = self.config["tasks"].get(task, {})
        kept = {key: chosen.get(key) for key in TASK_FORBIDDING}
        return kept | {"judge": self.judges.get(task, "")}

    def explaining(self) -> dict[str, Any]:
        """Everything that may be the cause of a difference and never forbids to look at it."""
        rest = {key: self.config.get(key) for key in ("model", "seed", "repeats")}
        return {
            **{key: value for key, value in rest.items() if value is not None},
            "server": dict(self.served),
            "harness": dict(self.environment),
            "environments": dict(self.worlds),
        }


def read(name: str | None, results: Path = RESULTS) -> RunFacts:
    """Read how a run, or a copy of its store, was made.

    Raises:
        UsageError: there is no such run.
        StoreError: its file cannot be read, or holds no run.
    """
    path = find_store(name, results)
    with Reader(path) as reader:
        return _read(reader)


def cost(name: str | None, results: Path = RESULTS) -> Mapping[str, Cost]:
    """What a run took so far, by task."""
    with Reader(find_store(name, results)) as reader:
        return reader.cost()


def date_of(facts: RunFacts) -> str:
    """The day in UTC on which a run began, YYYY-MM-DD."""
    return datetime.fromtimestamp(facts.date, UTC).strftime("%Y-%m-%d")


def _read(reader: Reader) -> RunFacts:
    config = cast("Mapping[str, Any] | None", reader.meta("config"))
    if config is None:
        raise StoreError(f"{reader.path} holds no run: give the directory of one")
    model = cast("Mapping[str, Any]", reader.meta("model") or {})
    commands = reader.commands()
    played = [command for command in commands if _is_run(command)]
    tasks: list[str] = list(config["tasks"])
    found = {task: reader.meta(f"judge/{task}") for task in tasks}
    return RunFacts(
        config,
        {suite: str(one.get("sha256", "")) for suite, one in model.get("templates", {}).items()},
        {"kind": model.get("kind"), "endpoints": _servers(model.get("endpoints", ()))},
        dict(commands[-1].get("environment", {})) if commands else {},
        {task: reader.meta(f"fingerprint/{task}") or {} for task in tasks},
        {task: str(judge["judge"]) for task, judge in found.items() if judge},
        tuple(played[-1]["argv"]) if played else (),
        float(commands[0].get("when", 0.0)) if commands else 0.0,
    )


def _is_run(command: Mapping[str, Any]) -> bool:
    argv = command.get("argv")
    return isinstance(argv, list) and "run" in cast("list[Any]", argv)[1:2]


MOVING = ("url", "limit")
"""What an endpoint says that changes from start to start and moves no number."""


def _servers(endpoints: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What distinct servers said, without their addresses."""
    kept = [{key: value for key, value in one.items() if key not in MOVING} for one in endpoints]
    return [one for place, one in enumerate(kept) if one not in kept[:place]]


def forbidding(first: RunFacts, second: RunFacts, tasks: Iterable[str]) -> list[str]:
    """Name the differences under which two runs' numbers must not be compared, with both values."""
    names = list(tasks)
    return differing(first.decisive(names), second.decisive(names))


def explaining(first: RunFacts, second: RunFacts) -> list[str]:
    """Name the differences that may be the cause of a change, with both values."""
    return differing(first.explaining(), second.explaining())
