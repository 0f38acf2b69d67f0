"""Packages of third parties, as pip would have installed them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install(
    site: Path, name: str, files: Mapping[str, str], entries: Mapping[str, Mapping[str, str]]
) -> Path:
    """Write a distribution into a folder of the path; returns its package's folder.

    Args:
        site: the folder that is on the path.
        name: of the package; the distribution has dashes in it.
        files: text by path in the package.
        entries: entry points by group.
    """
    for path, text in files.items():
        (site / name / path).parent.mkdir(parents=True, exist_ok=True)
        (site / name / path).write_text(text, encoding="utf-8")
    facts = site / f"{name}-1.0.dist-info"
    facts.mkdir(parents=True)
    title = name.replace("_", "-")
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {title}\nVersion: 1.0\n")
    lines = [
        line
        for group, found in entries.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in found.items()))
    ]
    (facts / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return site / name
