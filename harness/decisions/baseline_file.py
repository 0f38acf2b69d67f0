"""The baseline file: results of k runs by sample, as JSON that a person can review in a pull request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from harness.errors import UsageError

FORMAT = 1
DIGITS = 4
"""Decimals of a stored value that is neither 0 nor 1."""

Values = list[Annotated[float, msgspec.Meta(ge=0, le=10)]]


class BaselineTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One task of a baseline.

    Attributes:
        decisive: everything that must be equal tonight (see `RunFacts.decisive_of`).
        metric: with its judge.
        unit: percent or points.
        score: mean headline of the runs, in `unit`; None when nothing has a value.
        waiting: episodes that waited for a judge.
        results: how many results of 0 or 1 a sample has when `samples` gives their sum.
        flip_rate: share of samples that change between two runs; None with one run.
        power: probability that a drop of so many points is called, by points.
        samples: for tasks whose values are 0 or 1 the sum of the results, otherwise (and where a sample has
            fewer results) every result.
        sha256: of `samples`.
    """

    decisive: dict[str, Any]
    metric: str
    unit: str
    score: float | None
    waiting: int
    results: int
    flip_rate: float | None
    power: dict[str, float]
    samples: dict[str, int | Values]
    sha256: str

    def values(self) -> dict[str, list[float]]:
        """Every sample's results."""
        return {
            sample: [1.0] * found + [0.0] * (self.results - found) if isinstance(found, int) else list(found)
            for sample, found in self.samples.items()
        }


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Results of one or more runs of one configuration.

    Attributes:
        date: of the newest run, YYYY-MM-DD in UTC.
        decisive: what of the whole runs must be equal tonight.
        explaining: what may explain a difference (see `RunFacts.explaining`), of the newest run.
    """

    format: int
    model: str
    runs: list[str]
    date: str
    decisive: dict[str, Any]
    explaining: dict[str, Any]
    suites: dict[str, list[str]]
    tasks: dict[str, BaselineTask]


def packed(values: Mapping[str, Sequence[float]], results: int) -> dict[str, int | Values]:
    """Samples in the form of the file, sorted by name."""
    return {sample: _pack(found, results) for sample, found in sorted(values.items())}


def _pack(values: Sequence[float], results: int) -> int | Values:
    if len(values) == results and set(values) <= {0.0, 1.0}:
        return int(sum(values))
    return sorted(round(value, DIGITS) for value in values)


def digest(samples: Mapping[str, int | Values]) -> str:
    """Hash of a task's samples, which shows that a file was changed by hand."""
    text = json.dumps(samples, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write(baseline: Baseline, path: Path, *, replace: bool) -> None:
    """Write a baseline, one line for each task, in an order that does not depend on the runs'.

    Raises:
        UsageError: the file exists and `replace` was not asked for, or it cannot be written.
    """
    if path.exists() and not replace:
        raise UsageError(f"{path} exists: --replace writes over it")
    facts: dict[str, Any] = msgspec.to_builtins(baseline)
    tasks = facts.pop("tasks")
    lines = [f"{_text(key)}: {_text(value)}" for key, value in facts.items()]
    rows = ",\n  ".join(f"{_text(name)}: {_text(task)}" for name, task in sorted(tasks.items()))
    text = "{\n " + ",\n ".join([*lines, '"tasks": {\n  ' + rows + "\n }"]) + "\n}\n"
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error}; give a folder that can be written") from error


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def read(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        UsageError: it cannot be read, is no baseline, is of another format, or was changed by hand.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Baseline)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error}; harness gate RUN --save {path} makes one") from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UsageError(
            f"{path} is no baseline or is cut off ({error}): take it from version control, or save a new one "
            f"with harness gate RUN --save {path} --replace"
        ) from error
    if found.format != FORMAT:
        raise UsageError(f"{path} has format {found.format}, this harness reads {FORMAT}: save a new one")
    for name, task in found.tasks.items():
        if digest(task.samples) != task.sha256:
            raise UsageError(
                f"{path}: the samples of {name} do not have the hash beside them, so the file was edited: "
                f"take it from version control, or save a new one with --save {path} --replace"
            )
        _check(path, name, task)
    return found


def _check(path: Path, name: str, task: BaselineTask) -> None:
    for sample, values in task.samples.items():
        if not values if isinstance(values, list) else not 0 <= values <= task.results:
            raise UsageError(f"{path}: {name} {sample} has an impossible result: save a new baseline")
