"""What the harness knows of a benchmark before it runs, and what it gives it to work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.types.average import Mean, Statistic
from harness.types.talk import Chat

if TYPE_CHECKING:
    from harness.needs import Need

Profile = Literal["paper", "fixed"]
Source = Literal["mirror", "cache", "fixture"]
Unit = Literal["percent", "points"]
Value = int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one live episode takes from the machine.

    Attributes:
        memory_mb: resident memory per live episode.
        cpu: share of a core while its environment works.
        live: most episodes of this world alive at once; None leaves it to memory.
        locks: names held exclusively while an episode of this world lives.
    """

    memory_mb: int = 1
    cpu: float = 0.01
    live: int | None = None
    locks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines and turns of an episode, enforced from outside; times in seconds."""

    turns: int = 1
    reset_s: float = 120.0
    step_s: float = 120.0
    episode_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Option:
    """A choice the user has with `--set TASK.NAME=VALUE`.

    Attributes:
        kind: type of the value: bool, int, float or str.
        paper: value under `--profile paper`.
        fixed: value under `--profile fixed`.
        choices: the only values allowed, empty for any.
        optional: whether `none` is a value.
    """

    name: str
    kind: type[int] | type[float] | type[str] | type[bool]
    paper: Value
    fixed: Value
    help: str
    choices: tuple[Value, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What the harness knows of a benchmark before it runs.

    Attributes:
        name: the task's name everywhere: folder, JSON keys, `--task`.
        version: raised whenever a change may move a number; part of every row's identity.
        suite: `held-in`, `held-out` or `general`.
        metric: the headline's name; `aggregate` returns it under this key.
        headline: how the headline is computed from rows; the report's interval resamples it.
        unit: `percent` (values in [0, 1] are printed times 100) or `points`.
        splits: names `--split` accepts, the default first.
        history: name of a policy in `harness.history`.
        needs: programs and packages that must be present, each with its fix.
        roles: auxiliary models the task asks for (`judge`, `tool_llm`, ...).
        expected_turns: for the plan and its estimate.
        ceiling: what the oracle reaches, in `unit`, by (profile, data source).
        mask: regular expressions blanked before two first observations are compared.
        released: what the released scripts sent instead of the paper's decoding.
        excepts: at most two lines of the contract test, each with a reason.
        paper_n: number of items behind the published score.
        paper_judge: the model that judged the published score, as its provider names it; for judged tasks.
        private: keep prompts, replies, answers and targets out of stores and exports (data that its authors
            ask not to spread).
    """

    name: str
    version: int
    suite: str
    metric: str
    headline: Statistic = Mean()  # noqa: RUF009 - it has no state
    unit: Unit = "percent"
    splits: tuple[str, ...] = ("test",)
    limits: Limits = Limits()
    history: str = "none"
    needs: tuple[Need, ...] = ()
    options: tuple[Option, ...] = ()
    roles: tuple[str, ...] = ()
    expected_turns: int = 1
    ceiling: Mapping[tuple[Profile, str], float] = field(default_factory=dict[tuple[Profile, str], float])
    mask: tuple[str, ...] = ()
    released: Mapping[str, Value] = field(default_factory=dict[str, Value])
    excepts: Mapping[str, str] = field(default_factory=dict[str, str])
    paper_n: int = 0
    paper_judge: str = ""
    private: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """What a task is given to work with.

    Attributes:
        data: the task's data folder, laid out as in the mirror; a fixture has the same layout.
        work: a private scratch folder for this run of the task, removed afterwards.
        seed: the run's seed; derive others from it with `harness.seeds.derive`.
        options: every option of the spec with its value for this run.
        models: auxiliary models by role.
        source: where `data` came from; a fixture marks every table.
    """

    data: Path
    work: Path
    seed: int = 0
    options: Mapping[str, Value] = field(default_factory=dict[str, Value])
    models: Mapping[str, Chat] = field(default_factory=dict[str, Chat])
    profile: Profile = "paper"
    source: Source = "mirror"
