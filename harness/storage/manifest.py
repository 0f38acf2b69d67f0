"""A run's identity: a hash of the choices that move its numbers, and the environment it ran in."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from harness.errors import UsageError

TRACKED = (
    "aiohttp", "datasets", "jinja2", "miniwob", "msgspec", "numpy", "pandas", "playwright", "scienceworld",
    "text-generation", "textworld", "tiktoken", "torch", "transformers", "agenttuning-harness",
)  # fmt: skip
"""Packages whose version may explain a difference between two runs."""


LONGEST_NAME = 60
"""Characters of each part of a run directory's name."""


def config_hash(config: Mapping[str, Any]) -> str:
    """Eight hex digits over the configuration; equal for equal runs on any machine."""
    text = json.dumps(config, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def directory_name(model: str, what: str, digest: str, name: str | None) -> str:
    """Name a run directory: `<model>-<suite>-<hash>[-<name>]`, safe on any file system."""
    parts = [_slug(model), _slug(what), digest, *([_slug(name)] if name else [])]
    return "-".join(parts)


def _slug(text: str) -> str:
    kind, colon, path = text.partition(":")
    short = f"{kind}-{Path(path).stem}" if colon else text
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", short)[:LONGEST_NAME]


def environment() -> dict[str, Any]:
    """Harness commit, packages and platform, for the manifest."""
    return {
        "commit": commit(),
        "packages": {name: found for name in TRACKED if (found := _installed(name))},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def commit() -> str:
    """The checkout's commit, `-dirty` when changed; empty when installed from a wheel."""
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return ""
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def differing(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[str]:
    """Name the keys in which two configurations differ, with both values."""
    lines: list[str] = []
    for key in sorted({*old, *new}):
        here: Any = old.get(key)
        there: Any = new.get(key)
        if here == there:
            continue
        name = f"{path}{key}"
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            lines += differing(cast(Mapping[str, Any], here), cast(Mapping[str, Any], there), f"{name}.")
        else:
            lines.append(f"{name}: {_brief(here)} there, {_brief(there)} here")
    return lines


def refuse_other(old: Mapping[str, Any], new: Mapping[str, Any], directory: Path) -> None:
    """Refuse to mix two configurations in one directory.

    Raises:
        UsageError: they differ; the message lists how.
    """
    if old != new:
        lines = "\n  ".join(differing(old, new))
        raise UsageError(
            f"{directory} holds a run of another configuration:\n  {lines}\n"
            "give another --out or --name, or repeat that run's own command"
        )


def _brief(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
