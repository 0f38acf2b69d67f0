"""Makes prompts.json from an AgentTuning checkout; questions and judge prompts are pulled as they are."""

from __future__ import annotations

from pathlib import Path

from harness.data import Tell, checkout_literals, write_literals
from tasks.mt_bench.task import SYSTEM


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Read the system text out of upstream's script.

    Raises:
        DataError: the checkout does not hold the script.
    """
    written = write_literals(target / "prompts.json", checkout_literals(source, [SYSTEM]))
    tell(1, 1, written.name)
    return [written]
