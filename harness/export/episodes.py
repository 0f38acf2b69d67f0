"""Reads the episodes of a run that an export is to hold, one at a time, with where each comes from."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from harness.catalog import registry
from harness.errors import StoreError, UsageError
from harness.storage.private import is_digest
from harness.storage.records import CallRecord, StoredAttempt
from harness.storage.store import Store
from harness.types import Profile

WAITING = "wait for their judge (harness judge RUN --judge NAME)"
PRIVATE = "are of a private task, whose texts are not to be spread"
UNKNOWN = "keep no replies (their task is private, and the run had no --trace-private)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which episodes are exported; what is empty or None leaves nothing out.

    Attributes:
        least: smallest reward.
        most: largest reward.
        profile: whose rule gives the reward, where one transcript is graded by both.
        dedup: leave out a conversation that was written before.
        allow_test: write conversations of test samples in a format for training.
    """

    tasks: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    profile: Profile | None = None
    dedup: bool = False
    allow_test: bool = False


@dataclass(frozen=True, slots=True)
class Episode:
    """A counted attempt with its calls.

    Attributes:
        calls: of the model under test.
        reward: the value, in the scale of `Score`; None while it waits for its judge.
        private: its texts are not to be spread.
        kept: its texts are stored.
    """

    attempt: StoredAttempt
    calls: list[CallRecord]
    reward: float | None
    private: bool
    kept: bool


@dataclass(slots=True)
class Tally:
    """What an export wrote, and what it left out and why."""

    episodes: int = 0
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter[str])
    notes: Counter[str] = field(default_factory=Counter[str])


class Run:
    """A run's store, opened for reading, also while the run goes on.

    Args:
        path: of the store.
        name: of the run.

    Raises:
        StoreError: the file cannot be read, or holds no run.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name, self.tally = name, Tally()
        self.store = Store(path, readonly=True)
        try:
            found = self.store.meta("config")
            if found is None:
                raise StoreError(f"{path} holds no run: give the directory of one")
            self.config = cast("Mapping[str, Any]", found)
            self.specs = cast("Mapping[str, Mapping[str, Any]]", self.store.meta("specs") or {})
            self._installed = frozenset(registry.names())
            self._provenance = _Provenance(self)
        except BaseException:
            self.store.close()
            raise

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the run's tasks."""
        return tuple(self.config["tasks"])

    @property
    def chosen(self) -> Mapping[str, Mapping[str, Any]]:
        """Which of its samples each task was to play; empty when that is not known."""
        return self.store.meta("chosen") or {}

    @property
    def repeats(self) -> int:
        """Episodes per sample."""
        return int(self.config.get("repeats") or 1)

    def verdicts(self, attempt: StoredAttempt) -> Mapping[tuple[str, int], str]:
        """What the judge whose verdicts count said of an episode, by key and number."""
        judge = str(self.provenance(attempt)["judge"]) if attempt.pending is not None else ""
        return self.store.verdicts(attempt.id, judge) if judge else {}

    def _private(self, task: str) -> bool:
        return task in self._installed and registry.load(task).spec.private

    def split(self, task: str) -> str:
        """The split that a task was played in; empty when it is not known."""
        chosen = self.config["tasks"][task].get("split") or self.config.get("split")
        if not chosen and task in self._installed:
            chosen = registry.load(task).spec.splits[0]
        return str(chosen or "")

    def provenance(self, attempt: StoredAttempt) -> dict[str, Any]:
        """Where an episode comes from and what it is worth: texts and numbers, none of them nested."""
        return self._provenance.of(attempt)

    def episodes(self, choice: Choice) -> Iterator[Episode]:
        """The chosen episodes that count, in the order in which they ended; `tally` counts the others.

        Raises:
            UsageError: the run has no such task.
        """
        for name in choice.tasks:
            if name not in self.tasks:
                raise registry.nearest(name, self.tasks, f"task in {self.name}")
        for attempt in self.store.attempts(final_only=True):
            if choice.tasks and attempt.item.task not in choice.tasks:
                continue
            reward = _reward(attempt, str(self.config.get("profile", "")), choice.profile)
            if why := _left_out(attempt, reward, choice):
                self.tally.left_out[why] += 1
                continue
            calls = self.store.calls(attempt.id)
            kept = not any(map(is_digest, (*(call.prompt for call in calls[:1]), attempt.target)))
            self.tally.episodes += 1
            if any(call.turn is None for call in calls):
                self.tally.notes["are of store version 1: prompts as sent, whose roles are not known"] += 1
            if attempt.pending is not None and attempt.value is None:
                self.tally.notes[f"have no value yet and {WAITING}"] += 1
            private = not kept or self._private(attempt.item.task)
            yield Episode(attempt, calls, reward, private, kept)


def _reward(attempt: StoredAttempt, played: str, wanted: Profile | None) -> float | None:
    if wanted is None or wanted == played:
        return attempt.value
    return attempt.metrics.get(wanted)


def _left_out(attempt: StoredAttempt, reward: float | None, choice: Choice) -> str:
    """Why an episode is not exported; empty when it is."""
    if choice.outcomes and attempt.outcome not in choice.outcomes:
        return "have another outcome"
    if choice.profile is not None and reward is None:
        return WAITING if attempt.value is None else f"are not graded by the profile {choice.profile}"
    if choice.least is None and choice.most is None:
        return ""
    if reward is None:
        return WAITING
    least = -float("inf") if choice.least is None else choice.least
    most = float("inf") if choice.most is None else choice.most
    return "" if least <= reward <= most else "have another value"


def check_holdout(run: Run, choice: Choice) -> None:
    """Refuse to write what models are measured on as something to train on.

    Raises:
        UsageError: a chosen task was played in another split than `TRAINING`.
    """
    if choice.allow_test:
        return
    tested = [
        f"{name} ({run.split(name) or 'split not known'})"
        for name in choice.tasks or run.tasks
        if name in run.tasks and run.split(name) not in TRAINING
    ]
    if tested:
        raise UsageError(
            f"models are measured on these samples, so training on them makes their scores worthless: "
            f"{', '.join(tested)}; choose tasks with --task, play --split train, or give --allow-test"
        )


TRAINING = ("train", "dev")
"""Splits that no published score is measured on."""


class _Provenance:
    """What is the same for all episodes of a run, or of a task, looked up once."""

    def __init__(self, run: Run) -> None:
        self._run = run
        model = cast("Mapping[str, Any]", run.store.meta("model") or {})
        identity = cast("Mapping[str, Any]", run.store.meta("identity") or model.get("identity") or {})
        self._templates = cast("Mapping[str, Mapping[str, Any]]", model.get("templates") or {})
        config = run.config
        self._same = {
            "run": run.name,
            "model": str(config.get("model", "")),
            "served": str(identity.get("served") or ""),
            "model_sha": str(identity.get("sha") or ""),
            "profile": str(config.get("profile", "")),
            "decoding": str(config.get("decoding", "")),
            "reasoning": str(config.get("reasoning", "strip")),
        }
        commands = [one for one in run.store.commands() if one.get("environment")]
        self._times = [float(one.get("when") or 0.0) for one in commands]
        self._commits = [str(one["environment"].get("commit") or "") for one in commands]
        self._tasks: dict[str, dict[str, Any]] = {}

    def of(self, attempt: StoredAttempt) -> dict[str, Any]:
        item = attempt.item
        at = max(0, bisect_right(self._times, attempt.started) - 1)
        return {
            **self._same,
            **(self._tasks.get(item.task) or self._of_task(item.task)),
            "commit": self._commits[at] if self._commits else "",
            "version": item.version,
            "sample": item.sample,
            "repeat": item.repeat,
            "outcome": attempt.outcome,
        }

    def _of_task(self, task: str) -> dict[str, Any]:
        run, suite = self._run, self._run.specs.get(task, {}).get("suite", "")
        names = (name for name in (task, suite, "default") if name in self._templates)
        template = self._templates.get(next(names, ""), {})
        judge = cast("Mapping[str, Any]", run.store.meta(f"judge/{task}") or {})
        found = {
            "task": task,
            "split": run.split(task) if task in run.tasks else "",
            "template": str(template.get("id") or ""),
            "template_sha": str(template.get("sha256") or ""),
            "judge": str(judge.get("judge") or ""),
        }
        self._tasks[task] = found
        return found
