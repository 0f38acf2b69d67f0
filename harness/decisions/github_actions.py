"""Tells GitHub Actions what the gate found: annotations on the job, and its summary page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.decisions import gate_text
from harness.decisions.gate import GateVerdict
from harness.errors import UsageError

LEVELS = {
    "regression": "error",
    "no verdict": "warning",
    "not comparable": "error",
    "suspect": "warning",
    "improvement": "notice",
}


def workflow_commands(verdict: GateVerdict) -> Iterator[str]:
    """One workflow command for each task that needs a look."""
    for line in verdict.unlike:
        yield f"::error title=harness gate::{_escaped(f'not comparable with the baseline: {line}')}"
    for task in verdict.tasks:
        if level := LEVELS.get(task.verdict):
            text = " ".join([f"{task.verdict}: {task.reason}", *gate_text.samples(task)])
            yield f"::{level} title=harness gate {_property(task.task)}::{_escaped(text)}"


def _escaped(text: str) -> str:
    """A text that cannot end its command: workflow commands are lines."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def summarize(verdict: GateVerdict, environment: Mapping[str, str]) -> None:
    """Append the table to the job's summary page, when there is one.

    Raises:
        UsageError: it cannot be written.
    """
    if not (path := environment.get("GITHUB_STEP_SUMMARY")):
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(gate_text.markdown(verdict))
    except OSError as error:
        raise UsageError(f"cannot write the job's summary {path}: {error}") from error
