"""Checks whether a task can run as asked, for `doctor`, `run` and `judge`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness import data
from harness.catalog import registry
from harness.episode import Task
from harness.errors import DataError, HarnessError, MissingPart
from harness.running import selection
from harness.running.results import Decoding
from harness.types import Profile, Sample, Stage, TaskConfig

CORE = data.CORE
"""Shown in place of a task's name for the files that several tasks use."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One part that was checked, and how to get it when it is missing.

    Attributes:
        level: `fail` stops a run, `warn` may spoil a number.
        name: the part, the endpoint or the model.
        state: what was found.
        fix: what to do; empty when nothing is wrong.
    """

    level: Literal["ok", "warn", "fail"]
    name: str
    state: str
    fix: str = ""

    @property
    def good(self) -> bool:
        """Whether a run can go ahead."""
        return self.level != "fail"

    def __str__(self) -> str:
        subject = self.state if self.name == "data" else f"{self.name} {self.state}"
        return f"{subject}: {self.fix}" if self.fix else subject


@dataclass(frozen=True, slots=True)
class Readiness:
    """A task under one configuration, and what was found of its parts.

    Attributes:
        samples: all samples of the split; empty when they cannot be read.
        digest: hash over the data's hashes, for the manifest.
    """

    task: Task
    cfg: TaskConfig
    samples: Sequence[Sample]
    digest: str
    findings: tuple[Finding, ...]

    @property
    def missing(self) -> list[str]:
        """One line for each missing part, with its fix."""
        return [str(finding) for finding in self.findings if not finding.good]

    def demand(self) -> None:
        """Refuse when a part is missing.

        Raises:
            MissingPart: with one line for each.
        """
        if self.missing:
            raise MissingPart("\n".join(self.missing))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChoices:
    """What the user chose for a task.

    Attributes:
        settings: options the user set, by name, as typed.
        profile: whose values the other options have.
        mirror: a mirror's folder, `fixture`, or None (see `harness.data.resolve`).
        fixture: play the shipped fixture; the mirror is then only for files that several tasks use.
        split: None takes the task's first.
        roles: names of the bound auxiliary models.
        chat_only: the model under test is behind a chat endpoint.
    """

    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    profile: Profile = "paper"
    mirror: str | None = None
    fixture: bool = False
    split: str | None = None
    roles: frozenset[str] = frozenset()
    chat_only: bool = False


def check(name: str, chosen: TaskChoices) -> Readiness:
    """Find a task's data, ask it what it needs, and read its samples.

    Raises:
        UsageError: an unknown name or a wrong value: nothing could be meant by it.
    """
    task = registry.load(name)
    options = selection.options(name, task.Options, chosen.profile, chosen.settings)
    split = selection.split(task.spec, chosen.split)
    found = _resolved(name, data.FIXTURE if chosen.fixture else chosen.mirror, split)
    mirror = None if chosen.mirror == data.FIXTURE else chosen.mirror
    cfg = TaskConfig(
        found.path, options, chosen.profile, found.source, split, chosen.roles, mirror, chosen.chat_only
    )
    return examine(task, cfg, found)


def examine(task: Task, cfg: TaskConfig, found: data.Resolved, stage: Stage = "play") -> Readiness:
    """Check the parts of a task whose configuration is known already, for playing or for judging it."""
    findings = [*_data(task.spec.name, found, cfg.split), *_needs(task, cfg, stage)]
    samples: Sequence[Sample] = ()
    if not found.findings:
        try:
            samples = task.samples(cfg)
        except HarnessError as error:
            findings.append(Finding("fail", "data", str(error)))
        except (OSError, ValueError, KeyError) as error:
            fix = f"harness data verify {task.spec.name}"
            findings.append(Finding("fail", "data", f"it cannot be read ({error!r})", fix))
    return Readiness(task, cfg, samples, found.digest, tuple(findings))


def ranking(task: Task, cfg: TaskConfig) -> str:
    """The options under which a task that has the model rank choices does without; empty for other tasks."""
    return next((need.fix for need in task.needs(cfg) if need.stage == "rank"), "")


def drawing(task: Task, cfg: TaskConfig, decoding: Decoding) -> str:
    """How a task that draws its replies at a temperature does without; empty for other tasks."""
    if decoding == "released" and "temperature" in task.spec.released:
        return "use --decoding protocol, or a server that takes the temperature"
    if decoding == "greedy":
        return ""
    return next((need.fix for need in task.needs(cfg) if need.stage == "draw"), "")


def check_core(mirror: str | None) -> list[Finding]:
    """Check the files that several tasks use."""
    found = data.resolve(data.CORE, mirror)
    return _problems(found) or [Finding("ok", "data", f"verified in {found.path}")]


def has_unused_fixture(name: str, mirror: str | None) -> bool:
    """Whether a task ships a fixture that a run with this mirror would not play."""
    shipped = data.resolve(name, data.FIXTURE)
    return mirror != data.FIXTURE and shipped.source == data.FIXTURE and not shipped.problems


def _resolved(name: str, mirror: str | None, split: str) -> data.Resolved:
    """Find the data; pins that cannot be read are one more thing that is missing."""
    try:
        return data.resolve(name, mirror, split)
    except DataError as error:
        problem = data.Problem(str(error), "reinstall the package it comes from")
        return data.Resolved(Path(), "cache", (problem,), "")


def _needs(task: Task, cfg: TaskConfig, stage: Stage) -> list[Finding]:
    findings: list[Finding] = []
    for need in task.needs(cfg):
        if need.stage != stage:
            continue
        wrong = need.missing()
        level = "fail" if wrong else "ok"
        findings.append(Finding(level, need.name, wrong or "there", need.fix if wrong else ""))
    return findings


def _data(name: str, found: data.Resolved, split: str) -> list[Finding]:
    if found.findings:
        return _problems(found)
    if found.source == "fixture":
        return [Finding("ok", "data", f"the fixture in {found.path}")]
    wanted = data.pins(name).of(split)
    lines = [Finding("ok", "data", f"{len(wanted.required)} required files verified in {found.path}")]
    for pin in wanted.files:
        if pin.optional and not wanted.place(found.path, pin).is_file():
            lines.append(Finding("warn", "data", f"{pin.path} is not there (optional)", pin.fix(name)))
    return lines


def _problems(found: data.Resolved) -> list[Finding]:
    return [Finding("fail", "data", problem.what, problem.fix) for problem in found.findings]
