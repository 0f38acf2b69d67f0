"""Writes prompts.json with the same bytes as the mirror's, so that one pinned hash checks both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from harness.data import digest


def write(path: Path, notes: Mapping[str, str], texts: Mapping[str, str]) -> Path:
    """Write literals in the `strings` shape, in the order given, with their hashes."""
    content = {
        "_meta": dict(notes),
        "strings": dict(texts),
        "sha256": {address: digest(text) for address, text in texts.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    return path
