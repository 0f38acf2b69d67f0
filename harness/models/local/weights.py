"""Names the weights in a model's folder by their content: two checkpoints of one name are two models."""

from __future__ import annotations

import hashlib
from pathlib import Path

WEIGHTS = ("*.safetensors", "*.bin", "*.pt")
_PIECE = 1 << 20


def weights_sha(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's weight files; empty when it has none."""
    paths = sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))
    if not paths:
        return ""
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path.name} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                found.update(piece)
    return found.hexdigest()
