"""Makes the task's files from a checkout of AgentTuning, of AgentBench v0.2, or of both in turn."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.data import extract_literals, write_literals
from harness.errors import DataError
from tasks.dbbench.task import FILES, NEW, OLD
from tasks.dbbench.world import ASSENT, PROMPT


def prepare(source: Path, target: Path) -> list[Path]:
    """Write whatever the checkout has: prompts and released samples, or the later samples.

    Raises:
        DataError: it is a checkout of neither.
    """
    script = source / "AgentBench.old/src/tasks/dbbench/__init__.py"
    if script.is_file():
        folder = source / "AgentBench.old/data/dbbench"
        written = [write_literals(target / "prompts.json", extract_literals(script, [PROMPT, ASSENT]))]
        return [*written, *(_copy(folder / name, target / OLD / name) for name in FILES.values())]
    if (later := source / "data/dbbench/standard.jsonl").is_file():
        return [_copy(later, target / NEW / "standard.jsonl")]
    raise DataError(f"{source} is neither the top folder of an AgentTuning nor of an AgentBench checkout")


def _copy(source: Path, target: Path) -> Path:
    if not source.is_file():
        raise DataError(f"{source} is missing from the checkout")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target
