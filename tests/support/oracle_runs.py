"""Runs of the oracle on a task's fixture, as processes of their own, and what they store."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from harness.catalog import registry
from harness.storage.store import Store

RUN_S = 900.0
"""How long one command may take on a machine under load."""


def command(task: str, out: Path, *more: str) -> list[str]:
    """The words of a run on the fixture that goes into a folder."""
    return [
        sys.executable, "-m", "harness", "-q", "run", "--model", "oracle", "--task", task,
        "--mirror", "fixture", "--concurrency", "4", "--no-report", "--out", str(out), *more,
    ]  # fmt: skip


def stored(out: Path) -> int:
    """How many attempts a run has stored by now, whatever became of them.

    Reads without a right to write: a killed run's write-ahead log is left for the command that resumes it.
    """
    file = out / "run.sqlite"
    if not file.exists():
        return 0
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as db:
        try:
            return db.execute("SELECT count(*) FROM episode").fetchone()[0]
        except sqlite3.OperationalError:  # its tables are being made
            return 0


def transcripts(out: Path) -> dict[str, object]:
    """What every item's final attempt said, was asked with and was worth, by the item.

    What the task itself declares to differ between runs (process ids in a shell) is blanked.
    """
    found: dict[str, object] = {}
    with closing(Store(out / "run.sqlite", readonly=True)) as run:
        for attempt in run.attempts(final_only=True):
            item = attempt.item
            masks = registry.load(item.task).spec.mask
            calls = [
                tuple(blanked(text, masks) for text in (call.role, call.prompt, call.reply))
                for call in run.calls(attempt.id)
            ]
            name = f"{item.task} {item.sample} {item.repeat}"
            assert name not in found, f"{name} is final twice"
            found[name] = (attempt.outcome, attempt.value, attempt.answer, calls)
    return found


def blanked(text: str, masks: Sequence[str]) -> str:
    """A text without what a task's masks match."""
    for mask in masks:
        text = re.sub(mask, "#", text)
    return text


def planned(out: Path) -> int:
    """How many items a run is made of."""
    with closing(Store(out / "run.sqlite", readonly=True)) as run:
        return len(run.planned())


def finish(argv: Sequence[str], out: Path, *, commands: int = 8) -> None:
    """Repeat a command until every item has its final attempt.

    What failed too often in one command because its environment was killed is played by the next one.
    """
    for _ in range(commands):
        done = subprocess.run([*argv], timeout=RUN_S, check=False, capture_output=True, text=True)
        assert done.returncode in (0, 3), done.stderr
        if len(transcripts(out)) == planned(out):
            return
        argv = argv if "--retry" in argv else [*argv, "--retry", "infra"]
    raise AssertionError(f"items are missing after {commands} commands: {done.stderr}")
