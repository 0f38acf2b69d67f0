"""Builds the task's derived files from checkouts of AgentTuning and webarena, which are only read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.data import Tell, extract_literals, holder, write_literals
from harness.errors import DataError
from tasks.webarena.prompts import ADDRESSES, AGENTTUNING, CURRENT, FILE
from tasks.webarena.rows import CORRECTED

_RAW = "agent/prompts/raw/"
_TASKS = "config_files/test.raw.json"
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


def prepare_together(sources: Sequence[Path], target: Path, tell: Tell) -> list[Path]:
    """Collect the literals of both repositories, and copy the corrected task file.

    Args:
        sources: checkouts of AgentTuning and of web-arena-x/webarena, in any order.
        target: where the files go.
        tell: called for every file.

    Raises:
        DataError: a checkout, a file or a literal is not there.
    """
    checkouts = {
        AGENTTUNING.partition(":")[0]: holder(sources, _OURS[-1].split(":")[1]),
        CURRENT.partition(":")[0]: holder(sources, _TASKS),
    }
    given = {repository: path for repository, path in checkouts.items() if path is not None}
    if missing := [repository for repository in checkouts if repository not in given]:
        raise DataError(
            f"{', '.join(map(str, sources))}: no checkout of {' and of '.join(missing)}; give --from for both"
        )
    prompts = write_literals(target / FILE, collect(given))
    tell(1, 2, prompts.name)
    tasks = target / CORRECTED
    tasks.parent.mkdir(parents=True, exist_ok=True)
    tasks.write_bytes((given[CURRENT.partition(":")[0]] / _TASKS).read_bytes())
    tell(2, 2, tasks.name)
    return [prompts, tasks]


def collect(checkouts: Mapping[str, Path]) -> dict[str, Any]:
    """The literals of the pinned file, by address, from checkouts by repository."""
    by_file: dict[Path, list[str]] = defaultdict(list)
    for address in KEPT:
        repository, path, _ = address.split(":")
        by_file[checkouts[repository] / path].append(address)
    found: dict[str, Any] = {}
    for file, addresses in by_file.items():
        found |= extract_literals(file, addresses)
    return {address: found[address] for address in KEPT}
