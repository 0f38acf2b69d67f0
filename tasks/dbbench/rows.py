"""Reads the questions, each with its table, as the data files hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.errors import DataError

OLD = Path("AgentTuning/AgentBench.old/data/dbbench")
NEW = Path("AgentBench/data/dbbench")
FILES = {"std": "standard.jsonl", "dev": "dev.jsonl"}


def read(folder: Path, split: str, *, mended: bool) -> list[dict[str, Any]]:
    """Read the rows of a split in their order.

    Args:
        folder: the task's data.
        split: std or dev.
        mended: take AgentBench's later file, which only std has.

    Raises:
        DataError: the file is missing or no JSON lines.
    """
    path = folder / (NEW if mended and split == "std" else OLD) / FILES[split]
    try:
        text = path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n") if line]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; `harness doctor` says how to get it") from error
