"""Reads the table of tasks: how many variations each has, and which of them are played."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataError

EPISODES = "test_episodes.json"


def read(folder: Path) -> list[dict[str, Any]]:
    """Read the table, one row a task.

    Raises:
        DataError: it is missing or no JSON.
    """
    try:
        return json.loads((folder / EPISODES).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{EPISODES} cannot be read ({error}): harness data verify sciworld") from error


def data(row: Mapping[str, Any], variation: int) -> dict[str, Any]:
    """What the episode of a variation needs to know."""
    return {"task": row["task"], "variation": variation, "index": row["task_num"]}


def variations(row: Mapping[str, Any], split: str) -> list[int]:
    """A split's variations: half, a quarter and the rest, as the simulator divides them."""
    if split == "test":
        return list(row["variations"])
    quarter = row["n_max"] // 4
    ends = {"train": (0, 2 * quarter), "dev": (2 * quarter, 3 * quarter), "full": (3 * quarter, row["n_max"])}
    return list(range(*ends[split]))
