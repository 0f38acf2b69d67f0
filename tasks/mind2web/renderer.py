"""Runs in a worker process: cuts and writes pages, which takes lxml tens of milliseconds each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.mind2web import page, rows


class PageRenderer:
    """Reads pages from prepared files; keeps none."""

    def render(self, slot: int, path: str, n: int, ids: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
        """Show the part of a step's page around some candidates.

        Args:
            slot: of the worker, which has one state for all.
            path: the prepared file.
            n: the step's number in it.
            ids: of the candidates.

        Returns:
            The page's text, and id and words of each candidate in document order.
        """
        del slot
        shown = page.render(rows.page(Path(path), n), ids)
        return shown.text, [(choice.id, choice.text) for choice in shown.choices]


def handler() -> PageRenderer:
    """What the worker's calls go to."""
    return PageRenderer()
