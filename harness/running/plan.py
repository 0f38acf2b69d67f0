"""From a command to the list of episodes it means, or to everything that is missing for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.catalog import suites
from harness.episode import Task
from harness.errors import DataError, MissingPart, UsageError
from harness.running import readiness, samples, selection, sites, words
from harness.running.members import is_installed
from harness.running.readiness import Readiness, TaskChoices
from harness.running.request import ModelChoice, RunRequest, Workload
from harness.running.samples import Limit
from harness.storage.manifest import config_hash, directory_name
from harness.storage.store import EpisodeKey
from harness.types import Sample, TaskConfig, TaskSpec

MOST_EPISODES = 10_000_000
"""Episodes of a run: all their identities are in memory."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of a task's samples were chosen, for the report.

    Attributes:
        of: how many the split has in all.
        limit: what cut them down; None when nothing did.
        named: ids were given, by the user or the suite.
    """

    of: int
    limit: Limit | None = None
    named: bool = False


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One task's part of a run.

    Attributes:
        samples: what this command plays.
        whole: ids of what all shards together play.
        chosen: which of all samples these are.
        split: the split, where the suite chose it and neither the user nor the task's default.
    """

    task: Task
    cfg: TaskConfig
    samples: tuple[Sample, ...]
    data_digest: str
    whole: tuple[str, ...] = ()
    chosen: Chosen = Chosen(0)
    split: str | None = None

    @property
    def spec(self) -> TaskSpec:
        """The task's spec."""
        return self.task.spec

    def key(self, sample: Sample, repeat: int) -> EpisodeKey:
        """Identity of one of this task's episodes."""
        return EpisodeKey(self.spec.name, self.spec.version, sample.id, repeat)

    def items(self, repeats: int) -> list[EpisodeKey]:
        """Identities of this task's episodes, repeat by repeat within a sample."""
        return [self.key(sample, repeat) for sample in self.samples for repeat in range(repeats)]

    def config(self) -> dict[str, Any]:
        """What of this task moves its numbers."""
        return {
            "version": self.spec.version,
            "options": dict(sorted(selection.plain(self.cfg.options).items())),
            "source": self.cfg.source,
            "data": self.data_digest,
            "samples": config_hash({"ids": [sample.id for sample in self.samples]}),
            "count": len(self.samples),
            **({"split": self.split} if self.split else {}),
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
        work, models = self.request.workload, self.request.models
        return {
            "model": models.model,
            "profile": work.profile,
            "decoding": models.decoding,
            **({} if models.reasoning == "strip" else {"reasoning": models.reasoning}),
            "repeats": work.repeats,
            "seed": work.seed,
            "split": work.split,
            "shard": list(work.shard) if work.shard else None,
            "roles": sorted(models.roles),
            "judge": models.judge,
            **({"choices": models.choices} if models.choices else {}),
            **({"template": models.given.template} if models.given.template else {}),
            **({"sampling": told} if (told := models.sampling.told()) else {}),
            "suites": {name: list(members) for name, members in sorted(self.suites.items())},
            "tasks": {plan.spec.name: plan.config() for plan in self.tasks},
            **self.extra,
        }

    def ranked(self) -> dict[str, str]:
        """The tasks that have the model rank choices, with the options under which they do not."""
        return {plan.spec.name: fix for plan in self.tasks if (fix := readiness.ranking(plan.task, plan.cfg))}

    def drawn(self) -> dict[str, str]:
        """For each task the options under which it does without drawn replies; empty where it is greedy."""
        models = self.request.models
        if models.sampling.draws is not None:
            how = "leave out --temperature and --top-p" if models.sampling.draws else ""
            return {one.spec.name: how for one in self.tasks}
        return {one.spec.name: readiness.drawing(one.task, one.cfg, models.decoding) for one in self.tasks}

    def directory(self) -> Path:
        """Where the run lives."""
        execution, model = self.request.execution, self.request.models.model
        if execution.out is not None:
            return execution.out
        what = "+".join(self.request.workload.suites) or _tasks_slug([plan.spec.name for plan in self.tasks])
        return execution.results / directory_name(model, what, config_hash(self.config()), execution.name)

    def begun(self) -> bool:
        """Whether an earlier command began this run."""
        return not self.request.execution.new and (self.directory() / "run.sqlite").is_file()

    def items(self) -> list[EpisodeKey]:
        """Identities of all planned episodes."""
        return [item for plan in self.tasks for item in plan.items(self.request.workload.repeats)]


def _tasks_slug(names: list[str]) -> str:
    return "+".join(names) if len(names) <= 3 else f"{names[0]}+{len(names) - 1}"


def _is_chat(models: ModelChoice) -> bool:
    """Whether a model is behind a chat endpoint; an unknown model is refused when it is opened."""
    try:
        return models.entry().kind == "chat"
    except UsageError:
        return False


def make(request: RunRequest) -> Plan:
    """Find tasks, data and samples for a request; what is missing is collected, not raised.

    Raises:
        UsageError: an unknown name or a wrong value: nothing could be meant by it.
    """
    work, models = request.workload, request.models
    named = words.read(work, models)
    choices = TaskChoices(
        profile=work.profile,
        mirror=work.mirror,
        fixture=any(suite.fixture for suite in named.suites),
        roles=frozenset(named.roles),
        chat_only=_is_chat(models),
    )
    subsets = {task: subset for suite in named.suites for task, subset in suite.samples.items()}
    plan = Plan(request, [], {suite.name: list(suite.tasks) for suite in named.suites})
    for name in named.members:
        if not is_installed(name):
            plan.missing[name] = [f"{name}: not part of this version; --ready-only runs the others"]
            continue
        try:
            split = named.splits.get(name)
            ready = readiness.check(
                name, replace(choices, settings=named.settings[name], split=work.split or split)
            )
            ready.demand()
            plan.tasks.append(replace(_task_plan(ready, work, subsets.get(name)), split=split))
        except (MissingPart, DataError) as error:
            plan.missing[name] = [f"{name}: {line}" for line in str(error).splitlines()]
    words.refuse_judge(models.judge, [one.task for one in plan.tasks])
    episodes = work.repeats * sum(len(task.samples) for task in plan.tasks)
    if episodes > MOST_EPISODES:
        raise UsageError(
            f"{episodes:,} episodes are more than a run holds ({MOST_EPISODES:,}): lower --repeats"
        )
    return plan


def _task_plan(ready: Readiness, work: Workload, subset: suites.Choice | None) -> TaskPlan:
    """Choose the samples of a task that is ready; the user's choice goes before the suite's."""
    name, ids, offered = ready.task.spec.name, work.samples, ready.samples
    taken = work.limit
    if ids is None and subset is not None:
        ids = subset.ids
        if subset.limit is not None:
            offered = samples.select(offered, None, Limit(subset.limit, "first"), name)
            taken = taken or Limit(subset.limit, "first")
    whole = [sites.with_site_names(one) for one in samples.select(offered, ids, work.limit, name)]
    mine = tuple(sites.part(whole, work.shard))
    chosen = Chosen(len(ready.samples), taken if len(whole) < len(ready.samples) else None, ids is not None)
    whole_ids = tuple(sample.id for sample in whole)
    return TaskPlan(ready.task, ready.cfg, mine, ready.digest, whole_ids, chosen)
