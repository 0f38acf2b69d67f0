"""How much memory the keys and values of a local model may take, and so how many sequences run at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_MOST_ROWS = 64
_BLOCK = 64
"""Positions by which rows grow, so that a slightly longer request seldom moves the others."""
_SHARE_CPU, _SHARE_GPU = 0.5, 0.85
_MEMINFO = Path("/proc/meminfo")


class Budget:
    """The rows and positions that a cache may have.

    Args:
        tokens: positions that memory holds in all rows together.
        rows: most sequences at once; None takes as many as memory allows, at most 64.
    """

    def __init__(self, tokens: int, rows: int | None = None) -> None:
        self.tokens = max(1, tokens)
        self.rows = rows or max(1, min(_MOST_ROWS, self.tokens // _BLOCK))

    @property
    def told(self) -> str:
        """The present limits, in words."""
        return f"from now on at most {self.rows} at once, {self.tokens} tokens in all"

    def shape(self, needs: Sequence[int]) -> tuple[int, int] | None:
        """Rows and positions for sequences that need so many each; None when they do not fit together."""
        rows, most = len(needs), max(needs)
        if rows > self.rows or rows * most > self.tokens:
            return None
        grown = min(1 << (rows - 1).bit_length(), self.rows)  # powers of two: a join seldom copies
        length = -(-most // _BLOCK) * _BLOCK
        return (grown, length) if grown * length <= self.tokens else (rows, most)

    def shrink(self, rows: int) -> None:
        """Take fewer sequences at once, after memory ran out."""
        self.rows = max(1, min(self.rows, rows))

    def too_small(self, need: int) -> str:
        """Why a sequence can never run."""
        return f"out of memory: it may take {need} tokens, and there is room for {self.tokens}"


def free_bytes(torch: Any, device: str) -> int:
    """Memory that new tensors may take on a device: a share of what is free now."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * _SHARE_GPU)
    return int(available() * _SHARE_CPU)


def available(meminfo: Path = _MEMINFO) -> int:
    """Bytes of main memory that programs can still take; 4 GiB where the system does not say."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        found = None
    return int(found[1]) << 10 if found else 4 << 30
