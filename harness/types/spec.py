"""What a benchmark declares about itself, and what the harness gives it to work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.types.average import MEAN, Statistic
from harness.types.options import NO_OPTIONS, Profile, Value

Source = Literal["mirror", "cache", "fixture"]
Unit = Literal["percent", "points"]


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one live episode takes from the machine.

    Attributes:
        memory_mb: resident memory per live episode.
        cpu: share of a core while its environment works.
        live: most episodes of this world alive at once; None leaves it to memory.
    """

    memory_mb: int = 1
    cpu: float = 0.01
    live: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines and turns of an episode, enforced from outside; times in seconds."""

    turns: int = 1
    reset_s: float = 120.0
    step_s: float = 120.0
    episode_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What a benchmark declares about itself, known before it runs.

    Attributes:
        name: the task's name everywhere: folder, JSON keys, `--task`.
        version: raised whenever a change may move a number; part of every row's identity.
        suite: `held-in`, `held-out` or `general`.
        metric: the headline's name; `aggregate` returns it under this key.
        headline: how the headline is computed from rows; the report's interval resamples it.
        unit: `percent` (values in [0, 1] are printed times 100) or `points`.
        splits: names `--split` accepts, the default first.
        history: name of a policy in `harness.history`.
        roles: auxiliary models the task asks for (`judge`, `tool_llm`, ...).
        expected_turns: for the plan and its estimate.
        ceiling: what the oracle reaches, in `unit`, by (profile, data source).
        mask: regular expressions blanked before two first observations are compared.
        released: what the released scripts sent instead of the paper's decoding.
        excepts: at most two lines of the contract test, each with a reason.
        paper_n: number of items behind the published score.
        paper_judge: the model that judged the published score, as its provider names it; for judged tasks.
        private: keep prompts, replies, answers, targets and the words of errors out of stores, reports,
            exports and logs (data that its authors ask not to spread), unless the run is asked to trace them.
        view: entries of `Observation.info` that whoever reads an episode sees first; empty shows all alike.
        shares: further metrics that are shares of 1, which reports print in percent beside a headline in
            percent; `f1_*` means all that begin so.
    """

    name: str
    version: int
    suite: str
    metric: str
    headline: Statistic = MEAN
    unit: Unit = "percent"
    splits: tuple[str, ...] = ("test",)
    limits: Limits = Limits()
    history: str = "none"
    roles: tuple[str, ...] = ()
    expected_turns: int = 1
    ceiling: Mapping[tuple[Profile, str], float] = field(default_factory=dict[tuple[Profile, str], float])
    mask: tuple[str, ...] = ()
    released: Mapping[str, Value] = field(default_factory=dict[str, Value])
    excepts: Mapping[str, str] = field(default_factory=dict[str, str])
    paper_n: int = 0
    paper_judge: str = ""
    private: bool = False
    view: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskConfig:
    """What is known of a task's part of a run before anything is started.

    Attributes:
        data: the task's data folder, laid out as in the mirror; a fixture has the same layout.
        options: an instance of the task's `Options` with the values of this run.
        source: where `data` came from; a fixture marks every table.
        split: which of the spec's splits is played.
        roles: names of the auxiliary models that are bound.
        mirror: the mirror the run was given, where files that several tasks use are looked for first.
        chat_only: the model under test is behind a chat endpoint, which continues no raw prompt.
    """

    data: Path
    options: Any = NO_OPTIONS
    profile: Profile = "paper"
    source: Source = "mirror"
    split: str = "test"
    roles: frozenset[str] = frozenset()
    mirror: str | None = None
    chat_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(TaskConfig):
    """What a task's world is given to work with.

    Attributes:
        work: a private scratch folder for this run of the task, removed afterwards.
    """

    work: Path
