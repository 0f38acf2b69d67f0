"""Loads a data set from the hub at a pinned revision, for users who have no mirror."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.errors import MissingPart


def rows(name: str, config: str, split: str, revision: str) -> Iterable[Mapping[str, Any]]:
    """Download one split.

    Args:
        name: of the data set on the hub, as `owner/name`.
        config: its configuration.
        split: which part of it.
        revision: a commit, so that the same rows come every time.

    Raises:
        MissingPart: the extra `hf` is not installed, or the download fails.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingPart("datasets is not installed: pip install 'agenttuning-harness[hf]'") from error
    try:
        found: Any = load_dataset(name, config, split=split, revision=revision)
    except OSError as error:  # ConnectionError and the hub's own errors are of this kind
        raise MissingPart(
            f"{name} at {revision[:8]} cannot be downloaded from the hub ({error}); "
            "give a folder with the data: --mirror DIR"
        ) from error
    return found
