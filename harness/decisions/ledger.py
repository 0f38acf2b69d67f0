"""The ledger: one line of JSON for each night, appended and never rewritten."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from harness.decisions.gate import GateVerdict
from harness.decisions.run_facts import RunFacts
from harness.errors import UsageError
from harness.storage.manifest import config_hash
from harness.storage.reader import Cost

log = logging.getLogger(__name__)


class NightTask(msgspec.Struct, frozen=True):
    """One task of a night; `score` and `ci` in the task's unit, `difference` in points of its scale.

    Attributes:
        flips: share of samples that changed from the baseline.
    """

    verdict: str
    score: float | None = None
    ci: tuple[float, float] | None = None
    difference: float = 0.0
    flips: float = 0.0


class Night(msgspec.Struct, frozen=True):
    """One line of the ledger.

    Attributes:
        date: YYYY-MM-DD.
        manifest: hash of everything that may move a number; another one marks the night.
        tokens: in and out.
    """

    date: str
    run: str
    model: str
    verdict: str
    tasks: dict[str, NightTask]
    manifest: str = ""
    requests: int = 0
    tokens: int = 0


def night(verdict: GateVerdict, facts: RunFacts, cost: Mapping[str, Cost], date: str) -> Night:
    """Make a night's line.

    Args:
        verdict: of the gate.
        facts: how the run was made.
        cost: of the run by task.
        date: YYYY-MM-DD.
    """
    tasks = {
        task.task: NightTask(task.verdict, task.score, task.ci, task.difference, task.flips)
        for task in verdict.tasks
    }
    return Night(
        date,
        verdict.run,
        verdict.model,
        verdict.word,
        tasks,
        config_hash({"decisive": facts.decisive(facts.config["tasks"]), **facts.explaining()}),
        sum(task.requests for task in cost.values()),
        sum(task.prompt_tokens + task.output_tokens for task in cost.values()),
    )


def append(path: Path, line: Night) -> None:
    """Append a night; a broken last line is kept, and ended first.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        with path.open("ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(msgspec.json.encode(line, order="sorted") + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UsageError(f"cannot write the ledger {path}: {error}; give a file in a folder") from error


def read(path: Path) -> list[Night]:
    """Read the nights, oldest first; a broken line is left out and named in the log.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"cannot read the ledger {path}: {error}") from error
    found: list[Night] = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(msgspec.json.decode(line, type=Night))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if line.strip():
                log.warning("%s line %d is no night and is left out: %s", path, number, error)
    return found


def suspects(nights: Sequence[Night], model: str) -> frozenset[str]:
    """The tasks that the newest night of a model found worse."""
    mine = [night for night in nights if night.model == model]
    last = mine[-1].tasks if mine else {}
    return frozenset(name for name, task in last.items() if task.verdict in ("regression", "suspect"))


def changes(nights: Sequence[Night]) -> list[bool]:
    """Of every night, whether its manifest differs from that of the model's night before."""
    last: dict[str, str] = {}
    found: list[bool] = []
    for night in nights:
        found.append(last.get(night.model, night.manifest) != night.manifest)
        last[night.model] = night.manifest
    return found
