"""The questions of benchmarks as texts, and the benchmarks whose data is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness import data
from harness.catalog import registry, suites
from harness.errors import HarnessError, UsageError
from harness.running import selection
from harness.running.members import is_installed, members_of
from harness.types import TaskConfig


@dataclass(frozen=True, slots=True)
class TaskQuestions:
    """A task's samples.

    Attributes:
        texts: what each asks, by id; empty where that is known only when it is played.
        private: no text of them may be shown.
        source: where the data came from.
    """

    task: str
    split: str
    texts: Mapping[str, str]
    private: bool
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionChoices:
    """Whose questions are looked for, as typed.

    Attributes:
        suites: names of suites.
        tasks: names of tasks, or paths of question sets.
        split: of every task; None for the suite's or the task's first.
        mirror: as for `harness run`.
    """

    suites: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    split: str | None = None
    mirror: str | None = None


@dataclass(slots=True)
class Questions:
    """What there is.

    Attributes:
        missing: why a task was left out, by its name.
    """

    tasks: list[TaskQuestions] = field(default_factory=list[TaskQuestions])
    missing: dict[str, str] = field(default_factory=dict[str, str])


def read(chosen: QuestionChoices) -> Questions:
    """Read the questions of all tasks whose data is there.

    Raises:
        UsageError: an unknown name, or no task has its data.
    """
    asked = [suites.find(name) for name in chosen.suites]
    found = Questions()
    for name in members_of(asked, [registry.named(word) for word in chosen.tasks]):
        if not is_installed(name):
            found.missing[name] = "not part of this version"
            continue
        split = chosen.split or next((s for suite in asked if (s := suite.choice(name).split)), None)
        mirror = data.FIXTURE if any(suite.fixture for suite in asked) else chosen.mirror
        try:
            found.tasks.append(_read(name, mirror, split))
        except HarnessError as error:
            found.missing[name] = str(error).partition("\n")[0]
    if not found.tasks:
        reasons: Sequence[str] = [f"{name}: {why}" for name, why in found.missing.items()]
        raise UsageError("no task has its data: " + "\n".join(reasons))
    return found


def _read(name: str, mirror: str | None, split: str | None) -> TaskQuestions:
    task = registry.load(name)
    split = split or task.spec.splits[0]
    if split not in task.spec.splits:
        raise UsageError(f"{name} has no split {split!r}: choose one of {', '.join(task.spec.splits)}")
    where = data.resolve(name, mirror, split)
    if corrupt := [problem for problem in where.findings if problem.corrupt]:
        raise UsageError(str(corrupt[0]))
    options = selection.options(name, task.Options, "paper", {})
    try:  # files that are only shown or needed for playing may be missing
        samples = task.samples(TaskConfig(where.path, options, source=where.source, split=split))
    except (HarnessError, OSError, ValueError, KeyError) as error:
        raise UsageError(where.problems[0] if where.problems else str(error)) from error
    texts = {sample.id: task.asked(sample) for sample in samples}
    return TaskQuestions(name, split, texts, task.spec.private, where.source)
