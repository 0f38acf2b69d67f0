"""Makes the task's files from a checkout of AgentTuning, of AgentBench v0.2, or of both in turn."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.data import Tell, extract_literals, write_literals
from harness.errors import DataError
from tasks.dbbench.prompts import ASSENT, PROMPT
from tasks.dbbench.rows import FILES, NEW, OLD


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Write whatever the checkout has: prompts and released samples, or the later samples.

    Raises:
        DataError: it is a checkout of neither.
    """
    script = source / "AgentBench.old/src/tasks/dbbench/__init__.py"
    if script.is_file():
        folder = source / "AgentBench.old/data/dbbench"
        written = [write_literals(target / "prompts.json", extract_literals(script, [PROMPT, ASSENT]))]
        for done, name in enumerate(FILES.values(), 1):
            written.append(_copy(folder / name, target / OLD / name))
            tell(done, len(FILES), name)
        return written
    if (later := source / "data/dbbench/standard.jsonl").is_file():
        tell(1, 1, later.name)
        return [_copy(later, target / NEW / later.name)]
    raise DataError(f"{source} is neither the top folder of an AgentTuning nor of an AgentBench checkout")


def _copy(source: Path, target: Path) -> Path:
    if not source.is_file():
        raise DataError(f"{source} is missing from the checkout")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target
