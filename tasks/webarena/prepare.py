"""Builds the task's derived files from checkouts of AgentTuning and webarena, which are only read."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from harness.data import Tell, extract_literals, write_literals
from harness.errors import DataError
from tasks.webarena.prompts import ADDRESSES, AGENTTUNING, CURRENT, FILE
from tasks.webarena.rows import CORRECTED

_RAW = "agent/prompts/raw/"
_OURS = tuple(address for address in ADDRESSES if address.startswith(AGENTTUNING))

KEPT = (
    _OURS[0],
    f"{AGENTTUNING}{_RAW}p_direct_id_actree_2s.py:prompt",
    *_OURS[1:-1],
    f"{AGENTTUNING}run.py:test#15",
    _OURS[-1],
    *(
        f"{CURRENT}{_RAW}{name}.py:prompt"
        for name in ("p_cot_id_actree_2s_no_na", "p_direct_id_actree_2s_no_na", "p_direct_id_actree_3s_llama")
    ),
    *(address for address in ADDRESSES if address not in _OURS),
)
"""All literals of the pinned file in its order; the task reads some of them."""


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Collect the literals of both repositories, and copy the corrected task file.

    Args:
        source: a folder that holds the checkouts `AgentTuning` and `webarena`.
        target: where the files go.
        tell: told of every file.

    Raises:
        DataError: a checkout, a file or a literal is not there.
    """
    for name in ("AgentTuning", "webarena"):
        if not (source / name).is_dir():
            raise DataError(
                f"{source / name} is missing: give a folder with checkouts of AgentTuning and webarena"
            )
    prompts = write_literals(target / FILE, collect(source))
    tell(1, 2, prompts.name)
    tasks = target / CORRECTED
    tasks.parent.mkdir(parents=True, exist_ok=True)
    tasks.write_bytes((source / CORRECTED).read_bytes())
    tell(2, 2, tasks.name)
    return [prompts, tasks]


def collect(source: Path) -> dict[str, Any]:
    """The literals of the pinned file, by address."""
    by_file: dict[Path, list[str]] = defaultdict(list)
    for address in KEPT:
        repository, path, _ = address.split(":")
        own = address.startswith(AGENTTUNING)
        by_file[source / ("AgentTuning" if own else repository.rpartition("/")[2]) / path].append(address)
    found: dict[str, Any] = {}
    for file, addresses in by_file.items():
        found |= extract_literals(file, addresses)
    return {address: found[address] for address in KEPT}
