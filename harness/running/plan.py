"""From a command to the list of episodes it means, or to everything that is missing for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.catalog import registry, suites
from harness.episode import Task
from harness.errors import DataError, MissingPart, UsageError
from harness.models.roles import parse_role
from harness.running import readiness
from harness.running import selection as config
from harness.running.results import Decoding
from harness.storage.manifest import config_hash, directory_name
from harness.storage.store import EpisodeKey
from harness.types import Profile, Sample, TaskConfig, TaskSpec


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked `harness run` to do.

    Attributes:
        settings: `TASK.KEY=VALUE` strings.
        roles: `ROLE=NAME@URL` strings.
        shard: (i, n) runs the i-th of n parts, counted from 1.
        deadline_s: how long one request may be retried.
        time_limit_s: start no episode later than this after the run began; moves no number.
    """

    model: str
    suites: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    split: str | None = None
    limit: int | None = None
    samples: tuple[str, ...] | None = None
    repeats: int = 1
    endpoints: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    judge: str | None = None
    out: Path | None = None
    name: str | None = None
    new: bool = False
    profile: Profile = "paper"
    decoding: Decoding = "protocol"
    settings: tuple[str, ...] = ()
    concurrency: int | None = None
    executor: Literal["local", "ray"] = "local"
    shard: tuple[int, int] | None = None
    ready_only: bool = False
    retry: Literal["", "infra"] = ""
    seed: int = 0
    mirror: str | None = None
    results: Path = Path("results/runs")
    deadline_s: float = 900.0
    time_limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One task's part of a run.

    Attributes:
        samples: what this command plays.
        whole: ids of what all shards together play.
    """

    task: Task
    cfg: TaskConfig
    samples: tuple[Sample, ...]
    data_digest: str
    whole: tuple[str, ...] = ()

    @property
    def spec(self) -> TaskSpec:
        """The task's spec."""
        return self.task.spec

    def items(self, repeats: int) -> list[EpisodeKey]:
        """Identities of this task's episodes, repeat by repeat within a sample."""
        spec = self.spec
        return [EpisodeKey(spec.name, spec.version, s.id, r) for s in self.samples for r in range(repeats)]

    def config(self) -> dict[str, Any]:
        """What of this task moves its numbers."""
        return {
            "version": self.spec.version,
            "options": dict(sorted(config.plain(self.cfg.options).items())),
            "source": self.cfg.source,
            "data": self.data_digest,
            "samples": config_hash({"ids": [sample.id for sample in self.samples]}),
            "count": len(self.samples),
        }


@dataclass(slots=True)
class Plan:
    """Everything a run will do.

    Attributes:
        missing: one line for each part that is missing, with its fix, by task; these tasks do not run.
        suites: the asked suites with their member tasks, missing ones included.
    """

    request: RunRequest
    tasks: list[TaskPlan]
    suites: dict[str, list[str]]
    missing: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def config(self) -> dict[str, Any]:
        """The choices that move numbers; their hash names the run directory."""
        request = self.request
        return {
            "model": request.model,
            "profile": request.profile,
            "decoding": request.decoding,
            "repeats": request.repeats,
            "seed": request.seed,
            "split": request.split,
            "shard": list(request.shard) if request.shard else None,
            "roles": sorted(request.roles),
            "judge": request.judge,
            "suites": {name: list(members) for name, members in sorted(self.suites.items())},
            "tasks": {plan.spec.name: plan.config() for plan in self.tasks},
            **self.extra,
        }

    def directory(self) -> Path:
        """Where the run lives."""
        request = self.request
        if request.out is not None:
            return request.out
        what = "+".join(request.suites) or _tasks_slug([plan.spec.name for plan in self.tasks])
        return request.results / directory_name(request.model, what, config_hash(self.config()), request.name)

    def begun(self) -> bool:
        """Whether an earlier command began this run."""
        return not self.request.new and (self.directory() / "run.sqlite").is_file()

    def items(self) -> list[EpisodeKey]:
        """Identities of all planned episodes."""
        return [item for plan in self.tasks for item in plan.items(self.request.repeats)]


def _tasks_slug(names: list[str]) -> str:
    return "+".join(names) if len(names) <= 3 else f"{names[0]}+{len(names) - 1}"


def make(request: RunRequest) -> Plan:
    """Find tasks, data and samples for a request; what is missing is collected, not raised.

    Raises:
        UsageError: an unknown name or a wrong value: nothing could be meant by it.
    """
    chosen, wanted_ids, fixture = _members(request)
    members = _unique(
        [name for names in chosen.values() for name in names]
        + [registry.named(word) for word in request.tasks]
    )
    if not members:
        raise UsageError("nothing to run: give --suite or --task (harness list tasks shows them)")
    known = registry.names()
    settings = config.settings(request.settings, members)
    mirror = "fixture" if fixture else request.mirror
    asked = [parse_role(role).role for role in request.roles]
    plan = Plan(request, [], {name: list(names) for name, names in chosen.items()})
    for name in members:
        if name not in known:
            if name not in suites.all_members():
                raise registry.nearest(name, known, "task")
            plan.missing[name] = [f"{name}: not part of this version; --ready-only runs the others"]
            continue
        try:
            plan.tasks.append(_task(request, name, settings[name], wanted_ids.get(name), mirror))
        except (MissingPart, DataError) as error:
            plan.missing[name] = [f"{name}: {line}" for line in str(error).splitlines()]
    _known_roles(asked, plan)
    return plan


def _known_roles(asked: list[str], plan: Plan) -> None:
    """Refuse a role that no installed task asks for: it is a slip of the pen.

    Raises:
        UsageError: with the nearest roles.
    """
    known = {role for task in plan.tasks for role in task.spec.roles}
    if set(asked) <= known:
        return
    for name in registry.names():
        try:
            known |= set(registry.load(name).spec.roles)
        except UsageError:  # a plug-in that does not load names no role
            continue
    for role in asked:
        if role not in known:
            raise registry.nearest(role, known, "role")


def _members(request: RunRequest) -> tuple[dict[str, tuple[str, ...]], dict[str, suites.Choice], bool]:
    found = {name: suites.find(name) for name in request.suites}
    choices = {task: choice for suite in found.values() for task, choice in suite.samples.items()}
    fixture = any(suite.fixture for suite in found.values())
    return {name: suite.tasks for name, suite in found.items()}, choices, fixture


def _task(
    request: RunRequest, name: str, settings: dict[str, str], choice: suites.Choice | None, mirror: str | None
) -> TaskPlan:
    ready = readiness.check(
        name,
        profile=request.profile,
        settings=settings,
        mirror=mirror,
        split=request.split,
        roles=frozenset(parse_role(text).role for text in request.roles),
    )
    ready.demand()
    ids, limit = request.samples, request.limit
    if ids is None and choice is not None:
        ids, limit = choice.ids, choice.limit if limit is None else min(limit, choice.limit or limit)
    whole = config.select(ready.samples, ids, limit, name)
    ids_of_all = tuple(sample.id for sample in whole)
    return TaskPlan(ready.task, ready.cfg, tuple(_shard(whole, request.shard)), ready.digest, ids_of_all)


def _shard(samples: list[Sample], shard: tuple[int, int] | None) -> list[Sample]:
    if shard is None:
        return samples
    index, count = shard
    return samples[index - 1 :: count]


def _unique(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def describe(plan: Plan) -> list[str]:
    """The plan as lines for the person who started it."""
    repeats = plan.request.repeats
    lines: list[str] = []
    turns = 0
    for task in plan.tasks:
        episodes = len(task.samples) * repeats
        turns += episodes * task.spec.expected_turns
        source = "" if task.cfg.source != "fixture" else " (fixture: not the benchmark's data)"
        lines.append(
            f"  {task.spec.name}: {episodes} episodes, ~{task.spec.expected_turns} turns each{source}"
        )
    total = sum(len(task.samples) for task in plan.tasks) * repeats
    what = f"{len(plan.tasks)} tasks, {total} episodes, about {turns} requests"
    head = f"plan: {what}, profile {plan.request.profile}"
    return [head, *lines]
