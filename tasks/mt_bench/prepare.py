"""Makes prompts.json from an AgentTuning checkout; questions and judge prompts are pulled as they are."""

from __future__ import annotations

from pathlib import Path

from harness.data import Tell, extract_literals, write_literals
from harness.errors import DataError
from tasks.mt_bench.task import SYSTEM


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Read the system text out of upstream's script.

    Raises:
        DataError: the checkout does not hold the script.
    """
    script = source / "eval_general/eval_mt_bench_tgi.py"
    if not script.is_file():
        raise DataError(f"{script} is missing: give the top folder of an AgentTuning checkout")
    written = write_literals(target / "prompts.json", extract_literals(script, [SYSTEM]))
    tell(1, 1, written.name)
    return [written]
